//! Class embeddings: what the image encoder's classes are called, as vectors of the text encoder.
//!
//! They carry a picture into the space of texts without training: ConSE (Norouzi et al. 2014, eq. 4), the mean of the likeliest
//! classes' vectors, weighted by their probabilities.

use crate::error::Result;
use crate::math::{mean, normalised};
use crate::pack::{Entry, Pack};

/// Number of classes that a picture's vector is the mean of (T of ConSE).
const LIKELIEST: usize = 10;

/// One vector per class of the image encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassTable {
    /// Short names of the classes.
    pub labels: Vec<String>,
    width: usize,
    /// `[classes, width]`, row-major: centred on their mean, of unit length.
    vectors: Vec<f32>,
}

impl ClassTable {
    /// A table of text vectors, one per label and all of one width, as the text encoder gives them.
    pub fn new(labels: Vec<String>, texts: &[Vec<f32>]) -> Self {
        let centre = mean(texts.iter().map(Vec::as_slice)).unwrap_or_default();
        let vectors = texts.iter().flat_map(|text| {
            let pairs = text.iter().zip(&centre);
            normalised(&pairs.map(|(value, mean)| value - mean).collect::<Vec<_>>())
        });
        Self {
            labels,
            width: centre.len(),
            vectors: vectors.collect(),
        }
    }

    /// Reads the part `classes.bpk`: `vectors` `[classes, width]` and `labels`, UTF-8 joined by line feeds.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) if a tensor is missing or of another shape.
    pub fn from_pack(pack: &Pack, n_classes: usize, width: usize) -> Result<Self> {
        let labels = String::from_utf8(pack.bytes("labels")?)
            .map_err(|_| pack.refuse("labels are not UTF-8"))?;
        let labels: Vec<String> = labels.split('\n').map(str::to_owned).collect();
        if labels.len() != n_classes {
            let n = labels.len();
            return Err(pack.refuse(format!("{n} labels for {n_classes} classes")));
        }
        Ok(Self {
            labels,
            width,
            vectors: pack.shaped("vectors", &[n_classes, width])?,
        })
    }

    /// The entries that [`Self::from_pack`] reads.
    pub fn entries(&self) -> Vec<Entry> {
        let shape = [self.labels.len(), self.width];
        vec![
            Entry::floats("vectors", shape, self.vectors.clone()),
            Entry::bytes("labels", self.labels.join("\n").into_bytes()),
        ]
    }

    /// A picture in the space of centred text vectors: the mean of the likeliest classes' vectors, weighted by their probabilities.
    ///
    /// The weights are not scaled to sum to 1: the less sure the image encoder is, the less a picture counts in the mean over several.
    ///
    /// # Shapes
    ///
    /// - probabilities: `[classes]`
    /// - output: `[width]`
    pub fn carry(&self, probabilities: &[f32]) -> Vec<f32> {
        let mut likeliest: Vec<usize> = (0..probabilities.len()).collect();
        if likeliest.len() > LIKELIEST {
            let descending = |a: &usize, b: &usize| {
                let order = probabilities[*b].total_cmp(&probabilities[*a]);
                order.then(a.cmp(b))
            };
            likeliest.select_nth_unstable_by(LIKELIEST, descending);
            likeliest.truncate(LIKELIEST);
            likeliest.sort_unstable();
        }
        let mut carried = vec![0.0; self.width];
        for class in likeliest {
            let row = &self.vectors[class * self.width..][..self.width];
            for (total, value) in carried.iter_mut().zip(row) {
                *total += probabilities[class].max(0.0) * value;
            }
        }
        carried
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Precision, write};

    fn table() -> ClassTable {
        let texts: Vec<Vec<f32>> = (0..12u8)
            .map(|class| {
                let row = (0..4u8).map(|d| f32::from(class * (d + 3) % 7));
                row.collect()
            })
            .collect();
        ClassTable::new((0..12).map(|class| class.to_string()).collect(), &texts)
    }

    #[test]
    fn a_sure_picture_is_its_class_and_the_eleventh_class_counts_no_more() {
        let table = table();
        let row = |class: usize| &table.vectors[class * 4..][..4];
        let mut probabilities = [0.0; 12];
        probabilities[5] = 1.0;
        assert_eq!(table.carry(&probabilities), row(5));
        let flat: Vec<f32> = table.carry(&[1.0 / 12.0; 12]);
        let expected: Vec<f32> = (0..4)
            .map(|d| (0..10).map(|class| row(class)[d] / 12.0).sum())
            .collect();
        for (carried, expected) in flat.iter().zip(&expected) {
            assert!((carried - expected).abs() < 1e-6, "{flat:?} {expected:?}");
        }
        assert_eq!(table.carry(&[]), [0.0; 4]);
    }

    #[test]
    fn a_table_comes_back_from_its_file_and_another_size_is_refused() {
        let table = table();
        let bytes = write(table.entries(), &[], Precision::F32).unwrap();
        let pack = Pack::read("classes.bpk", bytes).unwrap();
        assert_eq!(ClassTable::from_pack(&pack, 12, 4).unwrap(), table);
        for (n_classes, width) in [(11, 4), (12, 5)] {
            let error = ClassTable::from_pack(&pack, n_classes, width).unwrap_err();
            assert!(error.to_string().contains("classes.bpk"), "{error}");
        }
    }
}
