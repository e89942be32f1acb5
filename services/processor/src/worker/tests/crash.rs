//! A worker can vanish at any point.

use std::{
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use kubernaut_core::model::{Mode, Phase, RunState, first_broken_row};
use kubernaut_core::port::Ledger;

use super::house::{House, ctx};

/// Runs a future for so many steps and then drops it, as a crash would.
struct Cut<F> {
    inner: Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.inner.as_mut().poll(cx).map(Some)
    }
}

/// Whether the worker came to its end before it was cut off.
async fn work_cut_after(house: &House, steps: usize) -> bool {
    let processor = house.processor();
    let all = async move { while processor.run_once().await.unwrap() {} };
    Cut { inner: Box::pin(all), left: steps }.await.is_some()
}

#[tokio::test]
async fn a_crash_at_any_point_loses_nothing_and_doubles_nothing() {
    let mut cuts = 0;
    loop {
        let house = House::new(Mode::Auto).await;
        *house.engine.begins.lock().unwrap() = Some(RunState::Succeeded);
        let id = house.fires().await;
        let whole = work_cut_after(&house, cuts).await;
        // The lease of the vanished worker runs out, another takes over.
        house.clock.advance(Duration::from_secs(31));
        house.work().await;
        house.work_for(20).await;
        assert_eq!(house.phase(id).await, Phase::Resolved, "cut after {cuts} steps");
        assert_eq!(house.engine.runs.lock().unwrap().len(), 1, "one run, cut after {cuts} steps");
        assert_eq!(house.told().await.len(), 1, "told once, cut after {cuts} steps");
        assert_eq!(house.remembered().await.len(), 1, "remembered once, cut after {cuts} steps");
        assert_eq!(first_broken_row(&house.ledger.audit(ctx(), id).await.unwrap()), None);
        let way = house.way(id).await;
        assert_eq!(way.iter().filter(|p| *p == "resolved").count(), 1, "{way:?}");
        if whole {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 20, "only {cuts} points were tried");
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing_more() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    let stale = house.ledger.claim(ctx(), "slow".into(), Duration::from_secs(30)).await.unwrap().unwrap();
    house.clock.advance(Duration::from_secs(31));
    house.work().await;
    assert_eq!(house.phase(id).await, Phase::Executing);
    let before = house.events(id).await.len();
    super::super::drive(&house.processor().0, stale, Default::default()).await;
    assert_eq!((house.phase(id).await, house.events(id).await.len()), (Phase::Executing, before));
    assert_eq!(house.engine.starts.load(Ordering::SeqCst), 1, "and starts nothing");
}
