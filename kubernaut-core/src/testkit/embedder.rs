//! The rules of [`Embedder`].

use crate::{port::Embedder, service::CallContext};

/// Checks all rules, and that related texts are nearer to each other than to others.
pub async fn suite<E: Embedder>(embedder: &E) {
    vectors_have_the_described_shape(embedder).await;
    a_text_has_one_vector_whatever_is_beside_it(embedder).await;
    related_texts_are_nearer(embedder).await;
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn embed<E: Embedder>(embedder: &E, given: &[&str]) -> Vec<Vec<f32>> {
    embedder.embed(CallContext::system("test"), texts(given)).await.unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

async fn vectors_have_the_described_shape<E: Embedder>(embedder: &E) {
    let info = embedder.describe();
    assert!(!info.name.is_empty() && !info.version.is_empty() && !info.about.is_empty() && info.dimensions > 0, "{info:?}");
    assert!((0.0..1.0).contains(&info.related), "{info:?}");
    assert!(embed(embedder, &[]).await.is_empty(), "no texts give no vectors");
    let long = "the container was killed for memory ".repeat(4_000);
    let odd = ["", " \n\t ", "größe = 5 \u{1F4A5} \u{0}", "!!! ???", long.as_str(), "137"];
    let vectors = embed(embedder, &odd).await;
    assert_eq!(vectors.len(), odd.len());
    for (text, vector) in odd.iter().zip(&vectors) {
        let start: String = text.chars().take(20).collect();
        assert_eq!(vector.len(), info.dimensions, "{start:?}");
        assert!(vector.iter().all(|x| x.is_finite()), "{start:?}");
        let length = cosine(vector, vector).sqrt();
        assert!(vector.iter().all(|x| *x == 0.0) || (length - 1.0).abs() < 1e-3, "{start:?} has length {length}");
    }
}

async fn a_text_has_one_vector_whatever_is_beside_it<E: Embedder>(embedder: &E) {
    let alone = embed(embedder, &["exit code 137"]).await.remove(0);
    let beside = embed(embedder, &["a far longer text that stands before it in the same call", "exit code 137", "x"]).await.remove(1);
    assert!(cosine(&alone, &beside) > 0.9999, "{}", cosine(&alone, &beside));
}

async fn related_texts_are_nearer<E: Embedder>(embedder: &E) {
    let vectors = embed(
        embedder,
        &[
            "container checkout was OOMKilled, memory limit 256Mi exceeded",
            "pod cart OOMKilled: the container exceeded its memory limit",
            "x509: certificate has expired, TLS handshake with the registry failed",
        ],
    )
    .await;
    let (near, far) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
    let related = embedder.describe().related;
    assert!(near > far && near >= related && far < related, "related {near}, unrelated {far}, bound {related}");
}
