//! Where the demo plays.

use std::path::Path;

use kubernaut::{Config, Result};

use super::{client::Client, live::LiveScene, recorded::RecordedScene};
use crate::output::say;

/// A recorded incident, or a fault made on a live cluster.
#[derive(Debug)]
pub(super) enum Scene {
    Recorded(RecordedScene),
    Live(LiveScene),
}

impl Scene {
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self, Self::Recorded(_))
    }

    pub(super) fn namespace(&self) -> String {
        match self {
            Self::Recorded(scene) => scene.namespace.clone(),
            Self::Live(scene) => scene.namespace.clone(),
        }
    }

    pub(super) fn bundle(&self) -> &Path {
        match self {
            Self::Recorded(scene) => &scene.dir,
            Self::Live(_) => Path::new(""),
        }
    }

    pub(super) fn configure(&self, config: &mut Config) {
        match self {
            Self::Recorded(scene) => scene.configure(config),
            Self::Live(scene) => scene.configure(config),
        }
    }

    pub(super) fn announce(&self) {
        match self {
            Self::Recorded(scene) => {
                say!("Cluster: recorded incident {} (writes change a copy in memory; what follows them is simulated)", scene.id)
            }
            Self::Live(scene) => say!("Cluster: live; namespace {} holds a deployment whose new release crashes", scene.namespace),
        }
    }

    /// Brings the alert about; says how.
    pub(super) async fn raise_alert(&mut self, client: &Client) -> Result<String> {
        match self {
            Self::Recorded(scene) => scene.raise_alert(client).await,
            Self::Live(scene) => scene.raise_alert(client).await,
        }
    }

    pub(super) async fn close(self) -> Result<()> {
        match self {
            Self::Recorded(scene) => scene.close(),
            Self::Live(scene) => scene.close().await,
        }
    }
}
