//! The exported format: opening a bundle.

use std::borrow::Cow;

use burn::prelude::Device;

use crate::encoders::Encoders;
use crate::error::{Error, Result};
use crate::imn::{ImnScorer, Modality};
use crate::kb::KnowledgeBase;
use crate::linker::Linker;
use crate::manifest::Manifest;
use crate::pack::Pack;
use crate::self_test::Golden;

/// A bundle on a device.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The manifest that it was opened by.
    pub manifest: Manifest,
    /// Encoders, knowledge base and scorers.
    pub linker: Linker,
    /// The self-test.
    pub golden: Golden,
}

impl Bundle {
    /// Reads the parts.
    ///
    /// # Arguments
    ///
    /// - file: gives a part that [`Manifest::check`] has passed: hashing is left to where the bytes come from, so that it happens once.
    ///
    /// # Errors
    ///
    /// [`Error::File`] naming the first part that is missing or of another shape, [`Error::Device`] if the device fails.
    pub async fn open(
        manifest: Manifest,
        mut file: impl FnMut(&str) -> Result<Vec<u8>>,
        device: &Device,
    ) -> Result<Self> {
        let encoders = Encoders::load(
            &manifest.models,
            &file("tokenizer.json")?,
            |path| Ok(Cow::Owned(Pack::read(path, file(path)?)?)),
            device,
        )?;
        let widths = manifest.models.widths();
        let golden = Golden::from_pack(&Pack::read("golden.bpk", file("golden.bpk")?)?)?;
        let kb = Pack::read("kb.bpk", file("kb.bpk")?)?;
        let kb = KnowledgeBase::from_parts(&file("kb.json")?, &kb, &widths)?;
        let n_entities = kb.text.entities.len();
        if golden
            .candidates()
            .iter()
            .any(|&entity| entity >= n_entities)
        {
            return Err(Error::file(
                "golden.bpk",
                "a candidate is not in the knowledge base",
            ));
        }
        let imn = match &manifest.imn {
            Some(trained) => {
                let pack = Pack::read("imn.bpk", file("imn.bpk")?)?;
                let training = manifest.training.iter();
                let entities = training.flat_map(|training| &training.entities);
                let entities = entities.map(String::as_str).collect();
                let fits = trained
                    .config
                    .inputs
                    .iter()
                    .all(|input| match input.modality {
                        Modality::Text => input.width == widths.text,
                        Modality::Image => input.width == widths.image,
                        Modality::Joint => Some(input.width) == widths.joint,
                    });
                if !fits {
                    return Err(Error::file(
                        "imn.bpk",
                        "the network reads other vectors than the encoders give",
                    ));
                }
                let network = trained.config.load(&pack, device)?;
                Some(ImnScorer::new(network, trained.clone(), &entities, &kb, device).await?)
            }
            None => None,
        };
        let linker = Linker::new(
            encoders,
            kb,
            manifest.scorer,
            imn,
            manifest.calibration.clone(),
        );
        Ok(Self {
            manifest,
            linker,
            golden,
        })
    }
}
