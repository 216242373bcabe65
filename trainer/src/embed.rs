//! `imn embed`: the tokens of a post, for other programs.

use anyhow::{Context as _, bail, ensure};
use burn::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use shared_model::encoders::Encoders;
use shared_model::error::Error;
use shared_model::tensors::{pad, read};
use shared_model::text::{Bert, BertConfig};
use shared_model::tokenizer::Tokenizer;
use shared_model::vision::{Vision, VisionConfig};
use shared_model::words::WordTable;

use crate::cli::EmbedArgs;
use crate::dataset::picture;
use crate::device::DeviceArg;
use crate::files;
use crate::run::EncoderOrigin;
use crate::weights;

/// Writes `text`, `image`, `word` and `joint`, each f32 `[tokens, width]`. Says on standard error which of them the encoders do not give.
pub(crate) fn embed(args: EmbedArgs, device: DeviceArg) -> anyhow::Result<()> {
    let origin = match (args.source.weights, args.source.bundle) {
        (Some(folder), _) => EncoderOrigin::of_weights(folder, args.vision, args.joint)?,
        (None, Some(folder)) => EncoderOrigin::Bundle { folder },
        (None, None) => unreachable!("clap requires one of them"),
    };
    let mention = args.span.map(|span| span.surface(&args.text)).transpose()?;
    if args.text.trim().is_empty() && args.image.is_empty() {
        bail!(Error::EmptyPost);
    }
    let pictures = args
        .image
        .iter()
        .map(|path| picture(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let device = device.open()?;
    let parts = Parts::load(&origin, &device)?;

    let mut matrices = Vec::new();
    let mut left_out = Vec::new();
    match &parts.text {
        Some((tokenizer, bert)) => {
            let (ids, mask) = pad(&[tokenizer.encode(&args.text, args.span)?], &device);
            matrices.push(Matrix::read("text", bert.forward(ids, Some(mask)))?);
        }
        None => left_out.push("text: there is no text encoder"),
    }
    let mut patches = Vec::new();
    match &parts.vision {
        Some(vision) => {
            for picture in &pictures {
                let tokens = vision
                    .forward(&[vision.preprocess(picture)], &device)
                    .tokens;
                patches.push(Matrix::read("image", tokens)?);
            }
        }
        None => left_out.push("image: there is no such image encoder"),
    }
    if let Some(Matrix { width, .. }) = patches.first() {
        let values = patches
            .iter()
            .flat_map(|picture| picture.values.iter().copied());
        matrices.push(Matrix {
            name: "image",
            width: *width,
            values: values.collect(),
        });
    }
    let words = parts.words.as_ref();
    match words.and_then(|words| words.embed(mention?)) {
        Some(values) => matrices.push(Matrix {
            name: "word",
            width: values.len(),
            values,
        }),
        None if words.is_none() => left_out.push("word: there are no word vectors"),
        None => left_out.push("word: no mention given, or none of its words is in the table"),
    }
    match &parts.joint {
        Some(encoders) => {
            let encoded = encoders.tokenizer.encode(&args.text, args.span)?;
            let patches = patches.into_iter().map(|picture| picture.values);
            let post = encoders.joint_post(&encoded, mention, patches.collect());
            let joint = pollster::block_on(encoders.joint(&[post]))?;
            matrices.extend(joint.into_iter().flatten().map(|joint| Matrix {
                name: "joint",
                width: joint.pooled.len(),
                values: joint.tokens,
            }));
        }
        None => left_out.push("joint: there is no joint encoder with the encoders that it needs"),
    }
    let (EncoderOrigin::Weights { folder, .. } | EncoderOrigin::Bundle { folder }) = &origin;
    ensure!(
        !matrices.is_empty(),
        "{}: no encoder takes this post ({}); `imn weights fetch` gets the default ones",
        folder.display(),
        left_out.join("; ")
    );
    for reason in left_out {
        eprintln!("{reason}");
    }
    files::write(&args.out, &safetensors(&matrices)?)
}

/// The encoders that a weight folder or a bundle holds.
struct Parts {
    text: Option<(Tokenizer, Bert)>,
    vision: Option<Vision>,
    words: Option<WordTable>,
    /// All encoders, if there is a joint one: it needs the others.
    joint: Option<Encoders>,
}

impl Parts {
    fn load(origin: &EncoderOrigin, device: &Device) -> anyhow::Result<Self> {
        let EncoderOrigin::Weights { folder, vision, .. } = origin else {
            return Ok(origin.load(device)?.encoders.into());
        };
        let has = |file: &str| folder.join(file).exists();
        if has("text.bpk") && has(&vision.file()) {
            return Ok(origin.load(device)?.encoders.into());
        }
        let text = weights::pack(folder, "text.bpk")?.map(|pack| {
            let config: BertConfig = weights::config(&pack)?;
            let tokenizer = files::read(&folder.join("tokenizer.json"))?;
            anyhow::Ok((config.tokenizer(&tokenizer)?, config.load(&pack, device)?))
        });
        let vision = weights::pack(folder, &vision.file())?.map(|pack| {
            let config: VisionConfig = weights::config(&pack)?;
            anyhow::Ok(config.load(&pack, device)?)
        });
        let words = weights::pack(folder, weights::WORDS)?;
        Ok(Self {
            text: text.transpose()?,
            vision: vision.transpose()?,
            words: words.as_ref().map(WordTable::from_pack).transpose()?,
            joint: None,
        })
    }
}

impl From<Encoders> for Parts {
    fn from(encoders: Encoders) -> Self {
        Self {
            text: Some((encoders.tokenizer.clone(), encoders.text.clone())),
            vision: Some(encoders.vision.clone()),
            words: encoders.words.clone(),
            joint: encoders.joint.is_some().then_some(encoders),
        }
    }
}

/// One tensor of the output, `[tokens, width]`.
struct Matrix {
    name: &'static str,
    width: usize,
    /// Row-major.
    values: Vec<f32>,
}

impl Matrix {
    /// Reads the tokens of one text or picture, `[1, tokens, width]`.
    fn read(name: &'static str, tokens: Tensor<3>) -> anyhow::Result<Self> {
        let [_, _, width] = tokens.dims();
        Ok(Self {
            name,
            width,
            values: pollster::block_on(read(tokens))?,
        })
    }
}

fn safetensors(matrices: &[Matrix]) -> anyhow::Result<Vec<u8>> {
    let bytes: Vec<Vec<u8>> = matrices
        .iter()
        .map(|matrix| {
            matrix
                .values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = matrices.iter().zip(&bytes).map(|(matrix, bytes)| {
        let shape = vec![matrix.values.len() / matrix.width, matrix.width];
        Ok((matrix.name, TensorView::new(Dtype::F32, shape, bytes)?))
    });
    let views = views.collect::<anyhow::Result<Vec<_>>>()?;
    safetensors::serialize(views, None).context("safetensors")
}
