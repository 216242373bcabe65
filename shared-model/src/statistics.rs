//! Statistics of pooled vectors, by which vectors are centred before any comparison.

use crate::error::Result;
use crate::pack::{Entry, Pack};
use crate::vectors::{PooledVectors, Widths};

/// Means and standard deviations by which vectors are centred before they are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    text_mean: Vec<f32>,
    image_mean: Vec<f32>,
    image_std: Vec<f32>,
    /// Empty without a joint encoder.
    joint_mean: Vec<f32>,
}

/// Running sums over pooled vectors, from which [`Statistics`] are taken.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    text: Sums,
    image: Sums,
    joint: Sums,
}

#[derive(Debug, Clone, Default)]
struct Sums {
    n: f64,
    values: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Adds a post or profile.
    pub fn add(&mut self, pooled: &PooledVectors) {
        self.text.add(pooled.text.as_deref());
        self.image.add(pooled.image.as_deref());
        self.joint.add(pooled.joint.as_deref());
    }

    /// Statistics of all vectors that were added.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            text_mean: self.text.mean(),
            image_mean: self.image.mean(),
            image_std: self.image.deviation(),
            joint_mean: self.joint.mean(),
        }
    }
}

impl Sums {
    fn add(&mut self, vector: Option<&[f32]>) {
        let Some(vector) = vector else { return };
        self.values.resize(vector.len(), 0.0);
        self.squares.resize(vector.len(), 0.0);
        self.n += 1.0;
        let sums = self.values.iter_mut().zip(&mut self.squares);
        for ((sum, square), value) in sums.zip(vector) {
            *sum += f64::from(*value);
            *square += f64::from(*value).powi(2);
        }
    }

    fn mean(&self) -> Vec<f32> {
        let values = self.values.iter();
        values.map(|sum| (sum / self.n) as f32).collect()
    }

    fn deviation(&self) -> Vec<f32> {
        let sums = self.values.iter().zip(&self.squares);
        sums.map(|(sum, square)| {
            let variance = square / self.n - (sum / self.n).powi(2);
            variance.max(0.0).sqrt() as f32
        })
        .collect()
    }
}

impl Statistics {
    /// Reads the tensors that [`Self::entries`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) if one is missing or of another width.
    pub(crate) fn from_pack(pack: &Pack, image_width: usize, widths: &Widths) -> Result<Self> {
        Ok(Self {
            text_mean: pack.shaped("text_mean", &[widths.text])?,
            image_mean: pack.shaped("image_mean", &[image_width])?,
            image_std: pack.shaped("image_std", &[image_width])?,
            joint_mean: match widths.joint {
                Some(width) => pack.shaped("joint_mean", &[width])?,
                None => Vec::new(),
            },
        })
    }

    /// Widths of text, image and joint vectors; 0 where there are none.
    pub fn widths(&self) -> [usize; 3] {
        [&self.text_mean, &self.image_mean, &self.joint_mean].map(Vec::len)
    }

    /// Entries of `kb.bpk`.
    pub fn entries(&self) -> Vec<Entry> {
        let vector =
            |name: &str, values: &[f32]| Entry::floats(name, [values.len()], values.to_vec());
        let mut entries = vec![
            vector("text_mean", &self.text_mean),
            vector("image_mean", &self.image_mean),
            vector("image_std", &self.image_std),
        ];
        if !self.joint_mean.is_empty() {
            entries.push(vector("joint_mean", &self.joint_mean));
        }
        entries
    }

    /// A text vector minus the mean.
    pub fn centre_text(&self, text: &[f32]) -> Vec<f32> {
        minus(text, &self.text_mean)
    }

    /// A joint vector minus the mean.
    pub fn centre_joint(&self, joint: &[f32]) -> Vec<f32> {
        minus(joint, &self.joint_mean)
    }

    /// An image vector, z-scored; a dimension that never varied becomes zero.
    pub fn centre_image(&self, image: &[f32]) -> Vec<f32> {
        let scaled = |((value, mean), std): ((&f32, &f32), &f32)| {
            if *std > 1e-6 {
                (value - mean) / std
            } else {
                0.0
            }
        };
        image
            .iter()
            .zip(&self.image_mean)
            .zip(&self.image_std)
            .map(scaled)
            .collect()
    }
}

fn minus(vector: &[f32], mean: &[f32]) -> Vec<f32> {
    let pairs = vector.iter().zip(mean);
    pairs.map(|(value, mean)| value - mean).collect()
}
