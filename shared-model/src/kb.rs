//! The knowledge base: entities, their timelines as pooled vectors, and the prototypes chosen from them.

use serde::{Deserialize, Serialize};

use crate::data::Entity;
use crate::error::{Error, Result};
use crate::linker::Models;
use crate::pack::{Entry, Pack};
use crate::prototype::{Chosen, Selection, choose};

/// A timeline post, its pictures as thumbnails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KbPost {
    /// Position of its owner.
    pub entity: usize,
    /// May be empty.
    #[serde(default)]
    pub text: String,
    /// Paths inside the bundle; may be empty.
    #[serde(default)]
    pub images: Vec<String>,
}

/// The chosen posts of an entity, highest PageRank first; `post` counts over the whole knowledge base.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prototypes {
    /// By text. The profile stands beside these.
    pub text: Vec<Chosen>,
    /// By image.
    pub image: Vec<Chosen>,
    /// By text and image together; empty without a joint encoder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joint: Vec<Chosen>,
}

impl Prototypes {
    /// Chooses from an entity's timeline: posts by position, each with its vectors.
    pub fn choose(
        timeline: &[(usize, &Pooled)],
        statistics: &Statistics,
        k: usize,
        selection: Selection,
    ) -> Self {
        let pick = |vector: &dyn Fn(&Pooled) -> Option<Vec<f32>>| -> Vec<Chosen> {
            let (posts, vectors): (Vec<usize>, Vec<Vec<f32>>) = timeline
                .iter()
                .filter_map(|&(post, pooled)| Some((post, vector(pooled)?)))
                .unzip();
            let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
            choose(&vectors, k, selection)
                .into_iter()
                .map(|chosen| Chosen {
                    post: posts[chosen.post],
                    rank: chosen.rank,
                })
                .collect()
        };
        Self {
            text: pick(&|pooled| Some(statistics.centre_text(pooled.text.as_deref()?))),
            image: pick(&|pooled| Some(statistics.centre_image(pooled.image.as_deref()?))),
            joint: pick(&|pooled| Some(statistics.centre_joint(pooled.joint.as_deref()?))),
        }
    }

    /// Of all modalities; a post may stand in several.
    pub fn all(&self) -> impl Iterator<Item = &Chosen> {
        self.text.iter().chain(&self.image).chain(&self.joint)
    }
}

/// The part of a knowledge base that is kept as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KbText {
    /// All entities.
    pub entities: Vec<Entity>,
    /// All timelines, one after the other.
    pub posts: Vec<KbPost>,
    /// One an entity.
    #[serde(default)]
    pub prototypes: Vec<Prototypes>,
    /// How many prototypes a modality.
    pub k: usize,
    /// How they were chosen.
    pub selection: Selection,
}

/// What an encoder says of a post; `None` where the post lacks the modality.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pooled {
    /// Mean over the text's tokens.
    pub text: Option<Vec<f32>>,
    /// Mean over the pictures' pooled vectors.
    pub image: Option<Vec<f32>>,
    /// Mean over the pictures' class probabilities.
    pub classes: Option<Vec<f32>>,
    /// Mean over the joint encoder's tokens; `None` without one.
    pub joint: Option<Vec<f32>>,
}

/// Centres and scales of the pooled vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    text_mean: Vec<f32>,
    image_mean: Vec<f32>,
    image_std: Vec<f32>,
    /// Empty without a joint encoder.
    joint_mean: Vec<f32>,
}

/// A knowledge base, ready to be scored against.
#[derive(Debug, Clone)]
pub struct KnowledgeBase {
    /// Names, texts and chosen posts.
    pub text: KbText,
    /// One a post.
    pub pooled: Vec<Pooled>,
    /// Of each entity's profile, which has a text and no picture.
    pub profiles: Vec<Pooled>,
    /// Of the timelines and profiles.
    pub statistics: Statistics,
}

impl KnowledgeBase {
    /// Chooses the prototypes and takes the statistics; `text.prototypes` is filled.
    pub fn new(mut text: KbText, pooled: Vec<Pooled>, profiles: Vec<Pooled>) -> Self {
        let mut moments = Moments::default();
        pooled
            .iter()
            .chain(&profiles)
            .for_each(|pooled| moments.add(pooled));
        let statistics = moments.statistics();
        let mut timelines = vec![Vec::new(); text.entities.len()];
        for (position, (post, pooled)) in text.posts.iter().zip(&pooled).enumerate() {
            timelines[post.entity].push((position, pooled));
        }
        text.prototypes = timelines
            .iter()
            .map(|timeline| Prototypes::choose(timeline, &statistics, text.k, text.selection))
            .collect();
        Self {
            text,
            pooled,
            profiles,
            statistics,
        }
    }

    /// Reads `kb.json` and `kb.bpk`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] for malformed JSON, dangling positions, or tensors that match neither the posts nor the encoders' widths.
    pub fn from_parts(json: &[u8], pack: &Pack, models: &Models) -> Result<Self> {
        let text: KbText =
            serde_json::from_slice(json).map_err(|error| Error::file("kb.json", error))?;
        let (n_entities, n_posts) = (text.entities.len(), text.posts.len());
        let dangling = text.posts.iter().any(|post| post.entity >= n_entities)
            || text.prototypes.len() != n_entities
            || text
                .prototypes
                .iter()
                .flat_map(Prototypes::all)
                .any(|chosen| chosen.post >= n_posts);
        if dangling {
            return Err(Error::file(
                "kb.json",
                "a post or prototype names an entity or post that is not there",
            ));
        }

        let n_texts = text
            .posts
            .iter()
            .filter(|post| !post.text.is_empty())
            .count();
        let n_images = text
            .posts
            .iter()
            .filter(|post| !post.images.is_empty())
            .count();
        // Without pictures there is nothing to be as wide as the image encoder.
        let (image_width, n_classes) = if n_images > 0 {
            models.vision.widths()
        } else {
            (0, 0)
        };
        let text_width = models.text.hidden_size;
        let joint_width = models.joint.as_ref().map(|joint| joint.width);
        if let Some(width) = joint_width {
            pack.expect("joint", &[n_posts, width])?;
            pack.expect("joint_profile", &[n_entities, width])?;
            pack.expect("joint_mean", &[width])?;
        }
        for (name, shape) in [
            ("text", &[n_texts, text_width][..]),
            ("image", &[n_images, image_width]),
            ("classes", &[n_images, n_classes]),
            ("profile", &[n_entities, text_width]),
            ("text_mean", &[text_width]),
            ("image_mean", &[image_width]),
            ("image_std", &[image_width]),
        ] {
            pack.expect(name, shape)?;
        }
        let mut texts = rows(pack, "text", text_width)?.into_iter();
        let mut images = rows(pack, "image", image_width)?.into_iter();
        let mut classes = rows(pack, "classes", n_classes)?.into_iter();
        let joint = |name: &str| {
            let rows = joint_width.map(|width| rows(pack, name, width)).transpose();
            Ok::<_, Error>(rows?.unwrap_or_default().into_iter())
        };
        let (mut joints, mut joint_profiles) = (joint("joint")?, joint("joint_profile")?);
        let pooled = text
            .posts
            .iter()
            .map(|post| Pooled {
                text: (!post.text.is_empty()).then(|| texts.next()).flatten(),
                image: (!post.images.is_empty()).then(|| images.next()).flatten(),
                classes: (!post.images.is_empty()).then(|| classes.next()).flatten(),
                joint: joints.next(),
            })
            .collect();
        let profiles = rows(pack, "profile", text_width)?
            .into_iter()
            .map(|text| Pooled {
                text: Some(text),
                joint: joint_profiles.next(),
                ..Pooled::default()
            })
            .collect();
        Ok(Self {
            pooled,
            profiles,
            statistics: Statistics {
                text_mean: pack.floats("text_mean")?.1,
                image_mean: pack.floats("image_mean")?.1,
                image_std: pack.floats("image_std")?.1,
                joint_mean: match joint_width {
                    Some(_) => pack.floats("joint_mean")?.1,
                    None => Vec::new(),
                },
            },
            text,
        })
    }

    /// The entries of `kb.bpk`.
    pub fn entries(&self) -> Vec<Entry> {
        let matrix =
            |name: &str, of: &[Pooled], vector: fn(&Pooled) -> &Option<Vec<f32>>, width| {
                let rows: Vec<&Vec<f32>> =
                    of.iter().filter_map(|row| vector(row).as_ref()).collect();
                let shape = [rows.len(), width];
                Entry::floats(name, shape, rows.into_iter().flatten().copied().collect())
            };
        let (posts, profiles) = (&self.pooled, &self.profiles);
        let classes = posts.iter().find_map(|post| post.classes.as_ref());
        let [text, image, joint] = self.statistics.widths();
        let mut entries = vec![
            matrix("text", posts, |row| &row.text, text),
            matrix("image", posts, |row| &row.image, image),
            matrix(
                "classes",
                posts,
                |row| &row.classes,
                classes.map_or(0, Vec::len),
            ),
            matrix("profile", profiles, |row| &row.text, text),
        ];
        if joint > 0 {
            entries.extend([
                matrix("joint", posts, |row| &row.joint, joint),
                matrix("joint_profile", profiles, |row| &row.joint, joint),
            ]);
        }
        entries.extend(self.statistics.entries());
        entries
    }

    /// The position of an entity.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.text.entities.iter().position(|entity| entity.id == id)
    }
}

/// Sums over pooled vectors, of as many as there are.
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
    pub fn add(&mut self, pooled: &Pooled) {
        self.text.add(pooled.text.as_deref());
        self.image.add(pooled.image.as_deref());
        self.joint.add(pooled.joint.as_deref());
    }

    /// Of all that were added.
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
    /// Of text, image and joint vectors; 0 where there are none.
    pub fn widths(&self) -> [usize; 3] {
        [&self.text_mean, &self.image_mean, &self.joint_mean].map(Vec::len)
    }

    /// Their entries of `kb.bpk`.
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

    /// A pooled text less the mean.
    pub fn centre_text(&self, text: &[f32]) -> Vec<f32> {
        less(text, &self.text_mean)
    }

    /// A pooled joint vector less the mean.
    pub fn centre_joint(&self, joint: &[f32]) -> Vec<f32> {
        less(joint, &self.joint_mean)
    }

    /// A pooled image, z-scored; a dimension that never varied becomes zero.
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

fn less(vector: &[f32], mean: &[f32]) -> Vec<f32> {
    let pairs = vector.iter().zip(mean);
    pairs.map(|(value, mean)| value - mean).collect()
}

fn rows(pack: &Pack, name: &str, width: usize) -> Result<Vec<Vec<f32>>> {
    let (_, values) = pack.floats(name)?;
    Ok(values.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
}
