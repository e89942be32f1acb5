//! The durable engine passes the suite of engines.

mod common;

use kubernaut_core::testkit::workflow_engine::workflow_engine_suite;

#[tokio::test]
async fn the_durable_engine_behaves_like_an_engine() {
    workflow_engine_suite(common::World::new).await;
}
