# frozen_string_literal: true

require "json"
require "minitest/autorun"
require "kubernaut"

class KubernautTest < Minitest::Test
  ROOT = ENV.fetch("KUBERNAUT_ROOT")
  BUNDLE = File.join(ROOT, "examples/bundles/crashing-release")
  TARGET = "Deployment/ferry-terminal/departures"
  QUIET = { ledger: { memory: true }, cluster: { bundle: BUNDLE } }.freeze

  def classification
    environment = { value: "production", treated_as: "production", basis: "policy", detail: "inventory", confidence: 1.0 }
    { environment: environment, priority: "P1" }
  end

  def part(&block)
    Class.new { define_method(:classify, &block) }.new
  end

  def test_an_alert_becomes_a_verified_fix_with_the_agreement_of_a_person
    answer = classification
    config = QUIET.merge(mode: "auto", processor: { verification: { window_s: 3 } })
    Kubernaut::Engine.open(config, classifier: part { |_ctx, _request| answer }) do |engine|
      engine.ingest(body: Kubernaut.bundle(path: BUNDLE)["alert"])
      seen = []
      incident = nil
      engine.each_event do |event|
        seen << event["seq"]
        if event["type"] == "approval.requested"
          waiting = engine.approvals(pending_only: true).first
          assert_equal "approved", engine.approve(approval_id: waiting["id"], by: "ann@example.org", digest: waiting["digest"])["state"]
        end
        incident = engine.incident(incident_id: event["incident_id"])
        break if incident["phase"] == "resolved"
      end
      assert_equal "inventory", incident["classification"]["environment"]["detail"]
      assert_equal engine.timeline(incident_id: incident["id"]).map { |e| e["seq"] }.first(seen.size), seen
    end
  end

  def test_what_a_part_raises_is_a_clear_error
    cases = {
      proc { |_c, _r| raise ArgumentError, "boom" } => [Kubernaut::PluginFailedError, /ArgumentError: boom/],
      proc { |_c, _r| raise Kubernaut::UnavailableError, "cmdb is away" } => [Kubernaut::UnavailableError, /cmdb is away/],
      proc { |_c, _r| 42 } => [Kubernaut::PluginFailedError, /wrong shape/],
      proc { |_c, _r| nil } => [Kubernaut::PluginFailedError, /wrong shape/]
    }
    cases.each do |block, (kind, text)|
      engine = Kubernaut::Engine.new(QUIET, workers: false, classifier: part(&block))
      assert_match text, assert_raises(kind) { engine.analyze(target: TARGET) }.message
      assert_equal 0, engine.stats["open_incidents"]
    end
  end

  def test_a_part_that_never_answers_does_not_hold_the_caller
    engine = Kubernaut::Engine.new(QUIET, workers: false, classifier: part { |_c, _r| sleep })
    assert_raises(Kubernaut::DeadlineError) { engine.analyze(target: TARGET, options: { timeout_ms: 300 }) }
  end

  def test_every_error_of_the_table_has_its_class_and_variant
    JSON.parse(File.read(File.join(ROOT, "tests/vectors/errors.json"))).each do |row|
      assert_same Kubernaut.const_get(row["python"]), Kubernaut::ERRORS[row["kind"]]
      assert KubernautUniffi::KubernautError.const_defined?(row["uniffi"]), row["uniffi"]
    end
  end

  def test_the_library_is_that_of_its_native_one
    own = JSON.parse(KubernautUniffi.interface_description)
    assert_equal JSON.parse(File.read(File.join(ROOT, "kubernaut/schemas/interface.json"))), own
    owners = { "engine" => Kubernaut::EngineOperations, "cluster" => Kubernaut::ClusterOperations, "library" => Kubernaut::LibraryOperations }
    own["operations"].each { |o| assert owners[o["scope"]].method_defined?(o["name"]), o["name"] }
  end
end
