//! `imn embed`: the tokens of a post, for other programs.

use anyhow::{Context as _, bail};
use burn::tensor::Tensor;
use safetensors::tensor::{Dtype, TensorView};
use shared_model::encoders::{Encoders, Joint};
use shared_model::error::Error;
use shared_model::tensors::read;

use crate::cli::EmbedArgs;
use crate::dataset::picture;
use crate::device::DeviceArg;
use crate::files;
use crate::run::EncoderOrigin;

/// Writes `text`, `image`, `word` and `joint`, each f32 `[tokens, width]`.
pub(crate) fn embed(args: EmbedArgs, device: DeviceArg) -> anyhow::Result<()> {
    let origin = match (args.source.weights, args.source.bundle) {
        (Some(folder), _) => EncoderOrigin::of_weights(folder, args.vision, args.joint)?,
        (None, Some(folder)) => EncoderOrigin::Bundle { folder },
        (None, None) => unreachable!("clap requires one of them"),
    };
    if let Some(span) = args.span {
        span.surface(&args.text)?;
    }
    if args.text.trim().is_empty() && args.image.is_empty() {
        bail!(Error::EmptyPost);
    }
    let pictures = args
        .image
        .iter()
        .map(|path| picture(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let encoders = origin.load(&device.open()?)?.encoders;

    let mut matrices: Vec<(&str, [usize; 2], Vec<f32>)> = Vec::new();
    let encoded = encoders.tokenizer.encode(&args.text, args.span)?;
    let (text, _) = encoders.text_tokens(std::slice::from_ref(&encoded));
    matrices.push(matrix("text", text)?);
    let mut patches = Vec::new();
    for picture in &pictures {
        let tokens = encoders.image_tokens(std::slice::from_ref(picture)).tokens;
        patches.push(matrix("image", tokens)?);
    }
    if let Some((name, [_, width], _)) = patches.first().cloned() {
        let values: Vec<f32> = patches
            .iter()
            .flat_map(|(_, _, values)| values.clone())
            .collect();
        matrices.push((name, [values.len() / width, width], values));
    }
    match word(&encoders, &args.text, args.span)? {
        Some(vector) => matrices.push(("word", [1, vector.len()], vector)),
        None => eprintln!("word: no mention given, or none of its words is in the table"),
    }
    let surface = args.span.map(|span| span.surface(&args.text)).transpose()?;
    let patches = patches.into_iter().map(|(_, _, values)| values).collect();
    let post = encoders.joint_post(&encoded, surface, patches);
    match (
        pollster::block_on(encoders.joint(&[post]))?,
        &encoders.joint,
    ) {
        (Some(joint), Some(Joint { config, .. })) => {
            let values: Vec<f32> = joint.into_iter().flat_map(|joint| joint.tokens).collect();
            matrices.push(("joint", [values.len() / config.width, config.width], values));
        }
        _ => eprintln!("joint: not among these encoders"),
    }

    let bytes: Vec<Vec<u8>> = matrices
        .iter()
        .map(|(_, _, values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = matrices
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    files::write(
        &args.out,
        &safetensors::serialize(views, None).context("safetensors")?,
    )
}

fn matrix(name: &str, tokens: Tensor<3>) -> anyhow::Result<(&str, [usize; 2], Vec<f32>)> {
    let [_, n, width] = tokens.dims();
    Ok((name, [n, width], pollster::block_on(read(tokens))?))
}

fn word(
    encoders: &Encoders,
    text: &str,
    span: Option<shared_model::data::Mention>,
) -> anyhow::Result<Option<Vec<f32>>> {
    let (Some(words), Some(span)) = (&encoders.words, span) else {
        return Ok(None);
    };
    Ok(words.embed(span.surface(text)?))
}
