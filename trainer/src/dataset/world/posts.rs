//! stub
use std::path::{Path,PathBuf};
use super::{By,Summary};
#[derive(Debug, Clone)]
pub(crate) struct Settings { pub(crate) posts: PathBuf, pub(crate) images: Option<PathBuf>, pub(crate) timeline: usize, pub(crate) seed: u64 }
pub(super) fn make(_by: By, _s:&Settings, _f: Option<u32>, _d:&Path)->anyhow::Result<Summary>{ anyhow::bail!("soon") }
