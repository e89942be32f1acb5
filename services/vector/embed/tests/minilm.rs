//! The model on its real weights. They are where `KUBERNAUT_TEST_MINILM` says; `cargo xtask test` puts them there.

use std::{fs, path::PathBuf};

use kubernaut_core::{ErrorKind, port::Embedder, service::CallContext, testkit};
use kubernaut_embed::{MiniLm, MiniLmConfig};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("KUBERNAUT_TEST_MINILM").map(PathBuf::from);
    if folder.is_none() {
        assert!(std::env::var_os("KUBERNAUT_REQUIRE_MODEL").is_none(), "KUBERNAUT_TEST_MINILM must name the folder of the model");
        eprintln!("skipped: KUBERNAUT_TEST_MINILM does not name the folder of the model; `cargo xtask test` installs it");
    }
    folder
}

fn config(folder: PathBuf) -> MiniLmConfig {
    let mut config = MiniLmConfig::default();
    config.folder = folder;
    config
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[tokio::test]
async fn rules_of_an_embedder() {
    let Some(folder) = folder() else { return };
    testkit::embedder::suite(&MiniLm::new(config(folder)).unwrap()).await;
}

#[tokio::test]
async fn it_knows_meaning_where_no_word_is_the_same() {
    let Some(folder) = folder() else { return };
    let texts = [
        "The process was killed because it used more RAM than allowed",
        "OOMKilled: memory limit exceeded",
        "x509: certificate has expired, TLS handshake failed",
        "The image tag cannot be found in the registry",
        "ImagePullBackOff: manifest unknown",
    ];
    let model = MiniLm::new(config(folder)).unwrap();
    let v = model.embed(ctx(), texts.map(str::to_owned).into()).await.unwrap();
    let (oom, tls) = (cosine(&v[0], &v[1]), cosine(&v[0], &v[2]));
    let (image, image_tls) = (cosine(&v[3], &v[4]), cosine(&v[3], &v[1]));
    eprintln!("memory {oom:.3}, memory and certificate {tls:.3}, image {image:.3}, image and memory {image_tls:.3}");
    assert!(oom > tls + 0.2 && image > image_tls + 0.2);
}

/// Figures of the reference implementation for this sentence: they tell whether layers, pooling and pieces of words are as published.
#[tokio::test]
async fn vectors_are_those_of_the_published_model() {
    let Some(folder) = folder() else { return };
    let model = MiniLm::new(config(folder)).unwrap();
    let v = model.embed(ctx(), vec!["This is an example sentence".into()]).await.unwrap().remove(0);
    let expected = [0.067_66, 0.063_50, 0.048_71, 0.079_31, 0.037_45];
    assert!(v.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-3), "{:?}", &v[..5]);
}

#[tokio::test]
async fn a_file_that_is_not_the_pinned_one_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = MiniLm::new(config(folder.path().into())).unwrap().load().await.unwrap_err();
    assert!(missing.kind() == ErrorKind::NotFound && missing.to_string().contains("tokenizer.json"), "{missing}");
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let wrong = MiniLm::new(config(folder.path().into())).unwrap();
    let error = wrong.embed(ctx(), vec!["text".into()]).await.unwrap_err();
    let told = error.to_string();
    assert!(
        error.kind() == ErrorKind::Corrupt && told.contains("tokenizer_sha256") && told.contains("be50c362") && told.contains("44136fa3"),
        "{told}"
    );
    let mut pinned = config(folder.path().into());
    pinned.tokenizer_sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".into();
    fs::write(folder.path().join("model.safetensors"), "weights").unwrap();
    let error = MiniLm::new(pinned).unwrap().load().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("weights_sha256"), "{error}");
}

#[test]
fn what_it_is_needs_no_weights() {
    let model = MiniLm::new(config("nowhere".into())).unwrap();
    assert!(model.describe().dimensions == 384 && model.describe().version.starts_with("53aa51172d14"));
    let mut bad = MiniLmConfig::default();
    bad.max_tokens = 4;
    assert!(MiniLm::new(bad).is_err());
}
