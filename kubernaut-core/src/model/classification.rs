//! Environment, priority and business context, each with its basis.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of environment. Ordered by strictness: production is the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Not known.
    Unknown,
    /// For trying things.
    Development,
    /// For tests.
    Testing,
    /// Like production, without its users.
    Staging,
    /// Serves users.
    Production,
}

impl Environment {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Development => "development",
            Self::Testing => "testing",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Reads one word (`prod`, `stg`, `dev`, `qa` …); `None` if it is not one that is known.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        match token.trim().to_ascii_lowercase().as_str() {
            "production" | "prod" | "prd" | "live" => Some(Self::Production),
            "staging" | "stage" | "stg" | "preprod" | "pre-production" | "preproduction" | "uat" => Some(Self::Staging),
            "testing" | "test" | "tst" | "qa" | "ci" | "e2e" => Some(Self::Testing),
            "development" | "develop" | "dev" | "sandbox" | "local" => Some(Self::Development),
            _ => None,
        }
    }
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Urgency: P0 is the most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Priority {
    /// At once.
    P0,
    /// Soon.
    P1,
    /// In working hours.
    P2,
    /// When there is time.
    P3,
}

/// What an answer rests on, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Basis {
    /// A label of the namespace.
    NamespaceLabel,
    /// An annotation of the namespace.
    NamespaceAnnotation,
    /// A configured rule.
    Rule,
    /// A word in the namespace's name.
    NamespaceName,
    /// A label of the alert.
    AlertLabel,
    /// A policy.
    Policy,
    /// Nothing said; the default.
    Default,
}

/// A value with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attributed<T> {
    /// What is believed.
    pub value: T,
    /// What policy uses: the strictest plausible value where confidence is below 0.8.
    pub treated_as: T,
    /// What it rests on.
    pub basis: Basis,
    /// The label, annotation, rule or token, such as `label env=prod`.
    pub detail: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// The answer of a `Classifier`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Classification {
    /// Kind of environment.
    pub environment: Attributed<Environment>,
    /// Urgency, from severity and `environment.treated_as`.
    pub priority: Priority,
    /// Business context from the namespace: team, owner, criticality, business unit, SLA tier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub business: BTreeMap<String, String>,
}
