# frozen_string_literal: true

# Prints what is wrong in a recorded incident, and what would be done about it.
#
#   ruby -I LIB examples/ruby/triage.rb examples/bundles/crashing-release

require "kubernaut"

report = Kubernaut.analyze_bundle(path: ARGV.fetch(0))
cause = report["candidates"].first
abort "no cause found" if cause.nil?
puts "#{report["target"]}: #{cause["category"]} in #{cause["object"]} (#{(cause["confidence"] * 100).round}%)"
cause["evidence"].each { |fact| puts "  #{fact["object"]}: #{fact["text"]}" }
report["actions"].each { |action| puts "proposal: #{action["action"]} on #{action["target"]} (#{report["decision"]})" }
