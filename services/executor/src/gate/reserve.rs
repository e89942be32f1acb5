//! Places that are taken before acting, in the ledger: what several actions may do together is counted where all of them can see it.

use std::time::Duration;

use kubernaut_core::{Error, ErrorKind, Result, service::CallContext};

use super::{
    GatedExecutor,
    lock::Lock,
    pass::{Pass, Reservation},
};

/// More places than this are counted in portions, so that taking them stays a few calls.
const FINEST: u32 = 20;

/// Places that one action holds.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Lock>);

impl Places {
    /// Leaves them to their time: pods take a while to settle.
    pub(super) fn leave(self) {
        self.0.into_iter().for_each(Lock::leave);
    }

    pub(super) async fn release(self) {
        for lock in self.0 {
            lock.release().await;
        }
    }
}

impl GatedExecutor {
    /// Takes all places that the action needs, or none.
    pub(super) async fn reserve(&self, ctx: &CallContext, pass: &Pass) -> Result<Places> {
        let mut places = Places::default();
        match self.take_all(ctx, pass, &mut places).await {
            Ok(()) => Ok(places),
            Err(error) => {
                places.release().await;
                Err(error)
            }
        }
    }

    async fn take_all(&self, ctx: &CallContext, pass: &Pass, places: &mut Places) -> Result<()> {
        let ttl = Duration::from_secs(self.config.settle_s);
        if ttl.is_zero() {
            return Ok(());
        }
        let cluster = self.cluster_id(ctx).await?.to_owned();
        let target = &pass.request.target;
        let space = target.namespace.clone().unwrap_or_else(|| target.kind.clone());
        self.take_namespace(ctx, &cluster, &space, ttl).await?;
        let of = |scope: String, limit: u32| Reservation { scope, units: 1, limit };
        let mut wanted =
            vec![of("actions".into(), self.config.max_actions), of(format!("actions in {space}"), self.config.max_actions_per_namespace)];
        wanted.retain(|r| r.limit > 0);
        wanted.extend(pass.reserve.iter().cloned());
        for reservation in wanted {
            self.take(ctx, pass, &cluster, coarse(reservation), ttl, places).await?;
        }
        Ok(())
    }

    async fn take(&self, ctx: &CallContext, pass: &Pass, cluster: &str, of: Reservation, ttl: Duration, places: &mut Places) -> Result<()> {
        let mut missing = of.units;
        for place in 0..of.limit {
            if missing == 0 {
                return Ok(());
            }
            let name = format!("place:{cluster}:{}:{place}", of.scope);
            if let Some(lock) = Lock::take(&self.parts.ledger, ctx, name, self.holder(pass), ttl).await? {
                places.0.push(lock);
                missing -= 1;
            }
        }
        if missing == 0 { Ok(()) } else { Err(crowded(&of.scope, of.limit, ttl)) }
    }

    /// One of the places for namespaces. All actions in a namespace share its place, which therefore ends by its time only.
    async fn take_namespace(&self, ctx: &CallContext, cluster: &str, space: &str, ttl: Duration) -> Result<()> {
        if self.config.max_namespaces == 0 {
            return Ok(());
        }
        for place in 0..self.config.max_namespaces {
            let name = format!("place:{cluster}:namespaces:{place}");
            if self.parts.ledger.lock_target(ctx.clone(), name, format!("namespace {space}"), ttl).await? {
                return Ok(());
            }
        }
        Err(crowded("namespaces", self.config.max_namespaces, ttl))
    }
}

fn crowded(scope: &str, limit: u32, ttl: Duration) -> Error {
    let text = format!("no place is left: {scope}, {limit} within {} s; try again", ttl.as_secs());
    Error::new(ErrorKind::Overloaded, "gate.blast_radius", text).retry_after(ttl)
}

/// The same share in at most [`FINEST`] portions, rounded against the one who takes.
fn coarse(of: Reservation) -> Reservation {
    if of.limit <= FINEST {
        return of;
    }
    let units = (u64::from(of.units) * u64::from(FINEST)).div_ceil(u64::from(of.limit));
    Reservation { units: u32::try_from(units).unwrap_or(FINEST).min(FINEST), limit: FINEST, ..of }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn portions_never_let_more_through_than_the_places_would(limit in 1u32..5000, units in 1u32..5000) {
            let units = units.min(limit);
            let portions = coarse(Reservation { scope: String::new(), units, limit });
            prop_assert!(portions.units >= 1 && portions.units <= portions.limit);
            let times = portions.limit / portions.units;
            prop_assert!(u64::from(times) * u64::from(units) <= u64::from(limit), "{times} times {units} of {limit}");
        }
    }
}
