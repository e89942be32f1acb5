//! Commands in running containers.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{AttachParams, AttachedProcess},
};
use kubernaut_core::{
    Error, ErrorKind, Result,
    port::{ExecOutput, ExecRequest},
};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Inner, create::exit_code, error::transport, needs_namespace};

const OPERATION: &str = "cluster.exec";
/// Error output beyond this is not kept.
const STDERR_LIMIT: usize = 16 * 1024;

impl Inner {
    pub(super) async fn exec(&self, request: &ExecRequest) -> Result<ExecOutput> {
        let target = self.target(OPERATION, &request.pod, None).await?;
        let namespace = target.before.namespace().ok_or_else(|| needs_namespace(OPERATION, &request.pod))?;
        let pods: Api<Pod> = Api::namespaced(self.rest.client().clone(), namespace);
        let how = AttachParams::default().container(&request.container).stdin(false).stdout(true).stderr(true);
        let process = pods.exec(target.before.name(), &request.command, &how).await.map_err(|e| match e {
            kube::Error::Api(status) => Error::new(ErrorKind::InvalidInput, OPERATION, format!("the API server refused: {}", status.message)),
            other => transport(OPERATION, other),
        })?;
        finish(process, request.limit_bytes).await
    }
}

async fn finish(mut process: AttachedProcess, limit: usize) -> Result<ExecOutput> {
    let lost = || Error::new(ErrorKind::Unavailable, OPERATION, "the connection to the container ended early");
    let (stdout, stderr) = (process.stdout().ok_or_else(lost)?, process.stderr().ok_or_else(lost)?);
    let ended = process.take_status().ok_or_else(lost)?;
    // Both streams are drained at once: a full one would hold the other back. The first failure ends the other.
    let drained = tokio::try_join!(whole(stdout, limit), start(stderr, STDERR_LIMIT));
    if drained.is_err() {
        process.abort();
    }
    let (stdout, stderr) = drained?;
    let status = ended.await.ok_or_else(lost)?;
    let status = serde_json::to_value(status).map_err(|e| Error::internal(OPERATION, "the answer cannot be read").source(e))?;
    Ok(ExecOutput { exit_code: exit_code(&status)?, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

/// All that a stream says; more than the limit is an error.
async fn whole(mut stream: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    while let Some(chunk) = next(&mut stream).await? {
        kept.extend_from_slice(&chunk);
        if kept.len() > limit {
            return Err(Error::new(ErrorKind::PayloadTooLarge, OPERATION, "the command said more than is kept").with("limit_bytes", limit));
        }
    }
    Ok(kept)
}

/// What a stream says up to the limit; the rest is read and dropped, so that the command can go on.
async fn start(mut stream: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    while let Some(chunk) = next(&mut stream).await? {
        kept.extend_from_slice(&chunk[..chunk.len().min(limit - kept.len())]);
    }
    Ok(kept)
}

async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>> {
    let mut chunk = vec![0; 16 * 1024];
    let broken = |e: std::io::Error| Error::new(ErrorKind::Unavailable, OPERATION, "the connection to the container broke").source(e);
    let size = stream.read(&mut chunk).await.map_err(broken)?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}
