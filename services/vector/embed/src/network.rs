//! The network: six layers of attention over pieces of words, and the mean of what comes out.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, VarBuilder, embedding, layer_norm, linear, ops::softmax};

const LAYERS: usize = 6;
const HEADS: usize = 12;
const INNER: usize = 1_536;
const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const EPSILON: f64 = 1e-12;

/// Numbers in a vector.
pub(crate) const HIDDEN: usize = 384;
/// Most pieces of words of one text.
pub(crate) const LONGEST: usize = POSITIONS;

pub(crate) struct Network {
    words: Embedding,
    positions: Embedding,
    first_type: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attended_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

impl Network {
    pub(crate) fn new(weights: Vec<u8>) -> Result<Self> {
        let vb = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let embeddings = vb.pp("embeddings");
        let types = embedding(2, HIDDEN, embeddings.pp("token_type_embeddings"))?;
        Ok(Self {
            words: embedding(VOCABULARY, HIDDEN, embeddings.pp("word_embeddings"))?,
            positions: embedding(POSITIONS, HIDDEN, embeddings.pp("position_embeddings"))?,
            first_type: types.embeddings().narrow(0, 0, 1)?,
            norm: layer_norm(HIDDEN, EPSILON, embeddings.pp("LayerNorm"))?,
            layers: (0..LAYERS).map(|n| Layer::new(&vb.pp("encoder.layer").pp(n))).collect::<Result<_>>()?,
        })
    }

    /// The vector, with length 1, of a text given by the numbers of its pieces.
    pub(crate) fn embed(&self, pieces: &[u32]) -> Result<Vec<f32>> {
        let pieces = Tensor::new(pieces, &Device::Cpu)?;
        let positions = Tensor::arange(0, u32::try_from(pieces.elem_count()).unwrap_or(u32::MAX), &Device::Cpu)?;
        let sum = (self.words.forward(&pieces)? + self.positions.forward(&positions)?)?.broadcast_add(&self.first_type)?;
        let mut x = self.norm.forward(&sum)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        let mean = x.mean(0)?;
        let length = mean.sqr()?.sum_all()?.sqrt()?;
        mean.broadcast_div(&length)?.to_vec1()
    }
}

impl Layer {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let (attention, output) = (vb.pp("attention"), vb.pp("output"));
        let own = attention.pp("self");
        Ok(Self {
            query: linear(HIDDEN, HIDDEN, own.pp("query"))?,
            key: linear(HIDDEN, HIDDEN, own.pp("key"))?,
            value: linear(HIDDEN, HIDDEN, own.pp("value"))?,
            attended: linear(HIDDEN, HIDDEN, attention.pp("output.dense"))?,
            attended_norm: layer_norm(HIDDEN, EPSILON, attention.pp("output.LayerNorm"))?,
            up: linear(HIDDEN, INNER, vb.pp("intermediate.dense"))?,
            down: linear(INNER, HIDDEN, output.pp("dense"))?,
            norm: layer_norm(HIDDEN, EPSILON, output.pp("LayerNorm"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let attended = self.attended.forward(&self.attend(x)?)?;
        let x = self.attended_norm.forward(&(attended + x)?)?;
        let thought = self.down.forward(&self.up.forward(&x)?.gelu_erf()?)?;
        self.norm.forward(&(thought + x)?)
    }

    /// Each head looks at all pieces.
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (count, hidden) = x.dims2()?;
        let head = hidden / HEADS;
        let by_head = |linear: &Linear| linear.forward(x)?.reshape((count, HEADS, head))?.transpose(0, 1)?.contiguous();
        let (query, key, value) = (by_head(&self.query)?, by_head(&self.key)?, by_head(&self.value)?);
        #[expect(clippy::cast_precision_loss, reason = "the width of a head is 32")]
        let scores = (query.matmul(&key.transpose(1, 2)?.contiguous()?)? / (head as f64).sqrt())?;
        softmax(&scores, D::Minus1)?.matmul(&value)?.transpose(0, 1)?.reshape((count, hidden))
    }
}
