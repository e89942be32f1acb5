//! Arithmetic on vectors.

use kubernaut_core::{Error, Result};

/// Sums that run beside each other, so that the compiler uses wide registers.
const LANES: usize = 16;

/// The sum of the products.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_parts, b_parts) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0_f32; LANES];
    for (x, y) in a_parts.zip(b_parts) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Brings a vector to length 1; `None` for one of zeros.
pub(crate) fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    // First to a size whose square is neither too great nor too small for the type.
    let largest = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    if largest == 0.0 {
        return None;
    }
    vector.iter_mut().for_each(|x| *x /= largest);
    let length = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    Some(vector)
}

/// A vector of the right shape, with length 1.
pub(crate) fn checked(operation: &'static str, id: &str, vector: Vec<f32>, dimensions: usize) -> Result<Vec<f32>> {
    let refuse = |why: &'static str| Error::invalid(operation, why).with("id", id);
    if vector.len() != dimensions {
        return Err(refuse("the vector has another number of dimensions").with("dimensions", vector.len()).with("expected", dimensions));
    }
    if !vector.iter().all(|x| x.is_finite()) {
        return Err(refuse("the vector holds a number that is not finite"));
    }
    unit(vector).ok_or_else(|| refuse("a vector of zeros has no direction"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_counts_whatever_the_length() {
        for n in [1, 15, 16, 17, 384] {
            let ones = vec![1.0; n];
            assert!((dot(&ones, &ones) - n as f32).abs() < 1e-3);
        }
    }

    #[test]
    fn a_unit_vector_has_length_one_even_of_extreme_numbers() {
        for size in [1e-30, 1.0, 3e38] {
            let v = unit(vec![size, size, 0.0]).unwrap();
            assert!((dot(&v, &v) - 1.0).abs() < 1e-5, "{v:?}");
        }
        assert_eq!(unit(vec![0.0, 0.0]), None);
    }
}
