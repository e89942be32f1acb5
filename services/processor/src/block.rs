//! Whether an incident has to wait, or needs a person, because of what happened before. Pure.

use kubernaut_core::model::{Block, BlockReason, HistoryEntry, Outcome, Timestamp};
use serde::{Deserialize, Serialize};

use crate::lifecycle::after;

/// When an incident is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlockPolicy {
    /// Failures in a row of one resource that hold further tries back. Default 3; 0 turns it off.
    pub consecutive_failures: u32,
    /// For how long, in seconds. Default 3600.
    pub consecutive_failures_s: u64,
    /// Seconds to wait while another incident of the same owner is worked on. Default 30.
    pub duplicate_s: u64,
    /// Seconds to wait after the first failure; doubled for each further one. Default 60.
    pub backoff_s: u64,
    /// Longest such wait in seconds. Default 600.
    pub max_backoff_s: u64,
    /// Seconds to wait while a run holds the owner. Default 30.
    pub busy_s: u64,
    /// Seconds in which a resource that was acted on is left alone. Default 300; 0 turns it off.
    pub cooldown_s: u64,
    /// Actions without effect that call for a person. Default 3; 0 turns it off.
    pub ineffective_chain: u32,
    /// Within how many seconds. Default 14 400.
    pub ineffective_chain_s: u64,
    /// Whether an incident whose namespace is not opted in waits for the opt-in instead of being analysed and handed over. Only where the mode
    /// would let Kubernaut act. Default false.
    pub unmanaged: bool,
    /// Seconds between looks at the opt-in. Default 60.
    pub unmanaged_s: u64,
}

impl Default for BlockPolicy {
    fn default() -> Self {
        Self {
            consecutive_failures: 3,
            consecutive_failures_s: 3600,
            duplicate_s: 30,
            backoff_s: 60,
            max_backoff_s: 600,
            busy_s: 30,
            cooldown_s: 300,
            ineffective_chain: 3,
            ineffective_chain_s: 14_400,
            unmanaged: false,
            unmanaged_s: 60,
        }
    }
}

impl BlockPolicy {
    /// How far back history matters, in seconds.
    pub(crate) fn lookback_s(&self) -> u64 {
        self.consecutive_failures_s.max(self.ineffective_chain_s).max(self.cooldown_s).max(self.max_backoff_s)
    }

    /// The wait after that many failures in a row.
    #[must_use]
    pub fn backoff_after(&self, failures: u32) -> u64 {
        let doubled = 1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
        self.backoff_s.saturating_mul(doubled).min(self.max_backoff_s)
    }
}

/// What is known when it is decided whether to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockFacts<'a> {
    /// Now.
    pub now: Timestamp,
    /// What was done to the owner, newest first, this incident left out.
    pub history: &'a [HistoryEntry],
    /// Another open incident of the same owner that is being worked on.
    pub duplicate: Option<String>,
    /// A run of another incident that holds the owner.
    pub busy: Option<String>,
    /// Why the namespace is not opted in, where that holds the incident back.
    pub unmanaged: Option<String>,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Nothing: go on.
    None,
    /// Wait.
    Until(Block),
    /// Acting again would not help; a person decides.
    Person(Block),
}

/// The first check that holds the incident back, in this order: unmanaged, consecutive failures, duplicate in progress, backoff, resource busy,
/// recently remediated, ineffective chain.
#[must_use]
pub fn hold(policy: &BlockPolicy, facts: &BlockFacts<'_>) -> Hold {
    let wait = |reason, seconds, text: &str| Some(Block { reason, until: after(facts.now, seconds), text: text.to_owned() });
    let unmanaged = || facts.unmanaged.as_ref().and_then(|t| wait(BlockReason::Unmanaged, policy.unmanaged_s, t));
    let duplicate = || facts.duplicate.as_ref().and_then(|t| wait(BlockReason::DuplicateInProgress, policy.duplicate_s, t));
    let busy = || facts.busy.as_ref().and_then(|t| wait(BlockReason::ResourceBusy, policy.busy_s, t));
    let block = unmanaged()
        .or_else(|| failures(policy, facts, BlockReason::ConsecutiveFailures))
        .or_else(duplicate)
        .or_else(|| failures(policy, facts, BlockReason::Backoff))
        .or_else(busy)
        .or_else(|| cooldown(policy, facts));
    match block {
        Some(block) => Hold::Until(block),
        None => chain(policy, facts).map_or(Hold::None, Hold::Person),
    }
}

/// Failures since something else happened. What a person took over says nothing about whether acting works.
fn failures(policy: &BlockPolicy, facts: &BlockFacts<'_>, reason: BlockReason) -> Option<Block> {
    let mut told = facts.history.iter().filter(|e| !matches!(e.outcome, None | Some(Outcome::Escalated))).peekable();
    let last = told.peek()?.closed_at?;
    let count = told.take_while(|e| matches!(e.outcome, Some(Outcome::Failed | Outcome::RolledBack))).count();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let many = policy.consecutive_failures > 0 && count >= policy.consecutive_failures;
    let seconds = match reason {
        BlockReason::ConsecutiveFailures if many => policy.consecutive_failures_s,
        BlockReason::Backoff if count > 0 && !many => policy.backoff_after(count),
        _ => return None,
    };
    let until = after(last, seconds);
    let text = format!("{count} failure(s) in a row, the last at {last}; next try after {until}");
    (until > facts.now).then_some(Block { reason, until, text })
}

fn cooldown(policy: &BlockPolicy, facts: &BlockFacts<'_>) -> Option<Block> {
    let acted = |e: &&HistoryEntry| e.action.is_some() && matches!(e.outcome, Some(Outcome::Resolved | Outcome::Ineffective | Outcome::RolledBack));
    let last = facts.history.iter().find(acted)?;
    let closed = last.closed_at?;
    let until = after(closed, policy.cooldown_s);
    let action = last.action.as_deref().unwrap_or_default();
    let text = format!("{action} on {} ended at {closed}; it is left alone until {until}", last.resource);
    (until > facts.now).then_some(Block { reason: BlockReason::RecentlyRemediated, until, text })
}

fn chain(policy: &BlockPolicy, facts: &BlockFacts<'_>) -> Option<Block> {
    let recent = |e: &&HistoryEntry| e.closed_at.is_some_and(|at| after(at, policy.ineffective_chain_s) > facts.now);
    let since_success = facts.history.iter().filter(recent).take_while(|e| e.outcome != Some(Outcome::Resolved));
    let without_effect: Vec<&str> =
        since_success.filter(|e| e.outcome == Some(Outcome::Ineffective)).map(|e| e.action.as_deref().unwrap_or("an action")).collect();
    let count = u32::try_from(without_effect.len()).unwrap_or(u32::MAX);
    (policy.ineffective_chain > 0 && count >= policy.ineffective_chain).then(|| Block {
        reason: BlockReason::IneffectiveChain,
        until: facts.now,
        text: format!("{count} actions in {} s did not help: {}", policy.ineffective_chain_s, without_effect.join(", ")),
    })
}

#[cfg(test)]
mod tests;
