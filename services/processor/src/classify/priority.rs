use kubernaut_core::model::{Environment, Priority, Severity};

/// Urgency from severity and the environment that policy uses.
///
/// | | production | staging | development, testing | unknown |
/// |---|---|---|---|---|
/// | critical | P0 | P1 | P2 | P1 |
/// | warning | P1 | P2 | P2 | P2 |
/// | info | P2 | P2 | P2 | P3 |
#[must_use]
pub fn priority(severity: Severity, environment: Environment) -> Priority {
    match (severity, environment) {
        (Severity::Critical, Environment::Production) => Priority::P0,
        (Severity::Critical, Environment::Staging | Environment::Unknown) | (Severity::Warning, Environment::Production) => Priority::P1,
        (Severity::Info, Environment::Unknown) => Priority::P3,
        _ => Priority::P2,
    }
}
