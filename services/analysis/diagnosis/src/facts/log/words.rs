//! The words by which failures are recognised.

use super::Signature;

/// Words (lower case) that mark a kind; the first kind that matches wins.
#[rustfmt::skip]
pub(super) const WORDS: &[(Signature, &[&str])] = &[
    (Signature::NoSuchHost, &[
        "no such host", "enotfound", "eai_again", "unknownhostexception", "name or service not known", "could not translate host",
        "could not resolve host", "nxdomain", "temporary failure in name resolution", "unknown host", "nodename nor servname",
        "failed to lookup address", "getaddrinfo", ":nxdomain", "name resolution failed", "name does not resolve", "unknown mysql server host", "bad address '",
    ]),
    (Signature::ConnectionRefused, &[
        "connection refused", "econnrefused", "os error 111", "connect failed (111", "actively refused", "errno 111",
    ]),
    (Signature::AuthFailed, &[
        "password authentication failed", "authentication failed", "access denied for user", "invalid credentials", "wrongpass",
        "noauth authentication required", "login failed for user", "auth failed", "authentication error", "invalid username or password",
        "invalid password", "bad credentials", "access_refused", "sasl authentication", "invalid api key", "invalidaccesskeyid",
        "signaturedoesnotmatch", "401 unauthorized", "could not find user", "not authorized on", "usernotfound", "invalid user or password", "invalid token", "invalid_client", "role does not exist", "login refused", "authenticationexception", "ora-01017", "invalid username/password",
        "err auth", "535 5.7", "http 401", "status code 401", "returned 401",
    ]),
    (Signature::Timeout, &[
        "i/o timeout", "timed out", "timeout connecting", "etimedout", "connection timeout", "connect timeout", "deadline exceeded",
        "connecttimeout", "timeout exceeded", "timeoutexception", "timeout expired",
    ]),
    (Signature::TooManyConnections, &[
        "too many clients already", "too many connections", "remaining connection slots", "max number of clients reached",
        "connection limit exceeded",
    ]),
    (Signature::DiskFull, &[
        "no space left on device", "enospc", "disk full", "disk quota exceeded", "not enough space", "errno 28", "insufficient disk space",
    ]),
    (Signature::ReadOnly, &[
        "read-only file system", "erofs", "readonly you can't write", "cannot execute insert in a read-only", "read-only transaction",
        "is read only",
    ]),
    (Signature::AddressInUse, &[
        "address already in use", "eaddrinuse", "port is already allocated", "bind: address",
    ]),
    (Signature::ExecFormat, &[
        "exec format error", "cannot execute binary file",
    ]),
    (Signature::TooManyFiles, &[
        "too many open files", "emfile",
    ]),
    (Signature::OutOfMemory, &[
        "java.lang.outofmemoryerror", "javascript heap out of memory", "cannot allocate memory", "memoryerror", "std::bad_alloc", "out of memory",
    ]),
    (Signature::Forbidden, &[
        "is forbidden: user", "cannot list resource", "cannot get resource", "cannot create resource", "cannot watch resource",
        "cannot patch resource", "cannot update resource", "cannot delete resource",
    ]),
    (Signature::Tls, &[
        "x509:", "certificate has expired", "certificate verify failed", "tls handshake", "ssl routines", "unable to verify the first certificate",
        "pkix path",
    ]),
    (Signature::CommandNotFound, &[
        "command not found", ": not found", "executable file not found", "no such file or directory: unknown", "exec: \"", "can't open file",
        "cannot find module", "modulenotfounderror", "no module named", "could not find or load main class", "unable to access jarfile",
    ]),
    (Signature::BadFlag, &[
        "unknown flag", "unrecognized option", "unknown option", "unrecognized arguments", "flag provided but not defined", "unexpected argument",
        "invalid option", "unknown command", "unrecognized argument", "unknown shorthand flag",
    ]),
    (Signature::Schema, &[
        "relation \"", "no such table", "undefinedtable", "pending migration", "migration failed", "schema version", "dirty database",
        "unknown column", "column does not exist", "table doesn't exist", "does not exist (sqlstate 42p01)", "sqlstate 42", "unknown database", "can't locate revision identified by", "validate failed: migrations",
    ]),
    (Signature::MissingFile, &[
        "no such file or directory", "enoent", "filenotfounderror", "filenotfoundexception", "file not found", "nosuchfileexception",
        "cannot open file", "could not open file",
    ]),
    (Signature::BadConfig, &[
        "unknown directive", "unrecognized configuration parameter", "invalid configuration", "invalid config", "configuration error",
        "config error", "failed to parse config", "error parsing config", "could not parse config", "unable to parse config",
        "error loading config", "failed to load config", "cannot load config", "yaml: line", "yaml: unmarshal", "yaml: unknown",
        "error converting yaml", "unmarshal", "unknown field", "unexpected token", "json decode", "jsondecodeerror", "parsererror", "scannererror",
        "tomldecodeerror", "syntax error", "bad directive", "invalid value", "invalid number of arguments", "unknown configuration",
        "invalid parameter", "bad configuration", "malformed", "could not parse", "failed to parse", "cannot parse", "parse error", "not a valid",
        "invalid format", "invalid syntax", "*** fatal config file error", "unknown setting", "unknown key", "unexpected key", "[emerg]",
        "unsupported config", "config file error", "could not load configuration", "schema validation failed",
    ]),
    (Signature::PermissionDenied, &[
        "permission denied", "eacces", "operation not permitted", "accessdeniedexception",
    ]),
    (Signature::Unreachable, &[
        "able to connect", "unable to connect", "cannot connect", "can't connect", "could not connect", "failed to connect", "connection reset",
        "connection closed", "no route to host", "network is unreachable", "econnreset", "run out of available brokers", "unavailable desc",
        "service unavailable", "no healthy upstream", "can't access", "connection error", "lost connection", "bad gateway",
        "upstream connect error", "could not be established", "broker may not be available", "nobrokersavailable", "no brokers available",
        "communications link failure", "network-related or instance-specific error", "connection is closed", "dial error", "host is unreachable", "ehostunreach", "not reachable", "unreachable",
    ]),
];

/// Markers of a line that ends a process.
#[rustfmt::skip]
pub(super) const FATAL: &[&str] = &[
    "fatal", "panic:", "critical", "traceback (most recent", "unhandled exception", "uncaught exception", "exception in thread", "aborting",
    "exiting", "[emerg]", "unhandledpromiserejection", "thread 'main' panicked", "goroutine 1 [running]",
];

/// Markers of a line that reports trouble of any kind.
#[rustfmt::skip]
pub(super) const TROUBLE: &[&str] = &[
    "error", "err=", "\"err\"", "fatal", "fail", "panic", "exception", "critical", "warn", "denied", "refused", "timeout", "timed out", "unable",
    "cannot", "can't", "not found", "no such", "invalid", "unknown", "missing", "required", "unrecognized", "emerg", "no space", "unavailable",
    "unauthorized", "forbidden", "already in use", "too many", "read-only", "wrong", "abort", "exit", "enot", "econn", "expired", "x509", "eacces",
    "unexpected", "malformed", "undefined", "must be set", "not set", "out of memory", "unreachable", "panicked", "bad address", "not a valid",
    "expected", "able to connect", "waiting for", "yaml", "not allowed", "parse", "directive", "syntax",
];
