# frozen_string_literal: true

require "io/wait"
require "json"
require_relative "kubernaut_uniffi"
require_relative "kubernaut/operations"

# From a Kubernetes alert to a verified fix.
module Kubernaut
  # Calls the native library; answers are values of JSON, with string keys.
  module Caller
    # Makes this library's error of the native one.
    def self.errors
      yield
    rescue StandardError => error
      # The native errors have no base class of their own.
      raise unless error.class.name.start_with?("KubernautUniffi::KubernautError::")

      details = JSON.parse(error.details)
      made = ERRORS.fetch(details["kind"], Error)
      raise made.new(details["message"], kind: details["kind"], operation: details["operation"], transient: details["transient"],
                                         retry_after_ms: details["retry_after_ms"])
    end

    private

    def invoke(operation, params)
      options = params.delete(:options) || {}
      Caller.errors do
        task = @native.start(operation, JSON.generate(params), JSON.generate(options))
        begin
          answered = false
          answer = task.answer
          answered = true
          JSON.parse(answer)
        ensure
          task.cancel unless answered
        end
      end
    end
  end

  # Calls parts of the program for the engine, each call on a thread of its own.
  class Dispatcher
    attr_writer :native

    def initialize(parts)
      @parts = parts.transform_keys(&:to_s)
      @objects = @parts.values
      @running = {}
    end

    # The parts as the engine wants to know them.
    def describe
      specs = @parts.each_with_index.to_h do |(kind, part), number|
        methods = METHODS.fetch(kind) { raise InvalidInputError, "no such part: #{kind}; there are #{METHODS.keys.join(", ")}" }.keys
        [kind, { object: number, name: part.class.name || "part", methods: methods.select { |name| part.respond_to?(name) } }]
      end
      JSON.generate(specs)
    end

    def invoke(call, object, method, payload)
      @running[call] = Thread.new do
        Thread.current.report_on_exception = false
        answer = begin
          asked = JSON.parse(payload)
          [true, JSON.generate(@objects[object].public_send(method, asked["context"], asked["request"]))]
        rescue Exception => error # rubocop:disable Lint/RescueException -- the engine has to be told whatever it is
          kind = error.is_a?(Error) ? ERRORS.key(error.class) : nil
          [false, JSON.generate(kind: kind, name: error.class.name, message: error.message)]
        end
        @running.delete(call)
        @native.reply(call, *answer)
      end
      nil
    end

    def cancel(call)
      @running.delete(call)&.kill
      nil
    end
  end

  # An engine: takes alerts, diagnoses, asks, acts behind the gate, verifies. It opens ledger and cluster at the first call.
  class Engine
    include Caller
    include EngineOperations
    include ClusterOperations

    # Parts of one's own by their kind, such as `classifier:`. With a block the engine is closed at its end.
    def self.open(config = {}, **options)
      engine = new(config, **options)
      return engine unless block_given?

      begin
        yield engine
      ensure
        engine.shutdown
      end
    end

    def initialize(config = {}, workers: true, **parts)
      dispatcher = Dispatcher.new(parts)
      Caller.errors do
        @native = KubernautUniffi::Engine.new(JSON.generate(config), workers, dispatcher.describe, dispatcher)
      end
      dispatcher.native = @native
    end

    # Events in order, none left out, until the engine shuts down or the block is left; waits for the next.
    def each_event(after: 0, incident_id: nil)
      return enum_for(:each_event, after: after, incident_id: incident_id) unless block_given?

      loop do
        page = events(after: after, incident_id: incident_id, wait_ms: 1000)
        page["events"].each { |event| yield event }
        after = page["next"]
        break if page["ended"]
      end
    end
  end

  # Operations that need no engine.
  class Library
    include Caller
    include LibraryOperations

    def initialize
      @native = KubernautUniffi::Engine.library
    end
  end

  class << self
    %i[bundle analyze_bundle evaluate].each do |name|
      define_method(name) { |**params| (@library ||= Library.new).public_send(name, **params) }
    end
  end
end
