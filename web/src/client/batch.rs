//! Many posts at once: files in, a file out.

use std::collections::HashSet;

use js_sys::ArrayBuffer;
use leptos::prelude::*;
use leptos::task::spawn_local;
use web::format::megabytes;
use web::protocol::{Figures, Request};
use web::wording::batch as wording;
use web_sys::Blob;

use super::Client;
use crate::browser;
use crate::state::Batch;

/// Largest sum of the files, in bytes.
const MAX_BYTES: f64 = 500e6;

impl Client {
    /// Sends a file of posts and their pictures to the worker.
    pub(crate) fn link_files(self, files: Vec<(String, Blob)>) {
        let is_posts = |name: &str| name.ends_with(".jsonl") || name.ends_with(".json");
        let posts = files.iter().map(|(name, _)| name);
        let posts: Vec<String> = posts.filter(|name| is_posts(name)).cloned().collect();
        let [posts] = &posts[..] else {
            let reason = wording::ONE_FILE.to_owned();
            return self.batch.set(Batch::Refused(reason));
        };
        let posts = posts.clone();
        let mut names = HashSet::new();
        if let Some((name, _)) = files.iter().find(|(name, _)| !names.insert(name.clone())) {
            let reason = wording::same_name(name);
            return self.batch.set(Batch::Refused(reason));
        }
        let bytes: f64 = files.iter().map(|(_, blob)| blob.size()).sum();
        if bytes > MAX_BYTES {
            let (size, limit) = (megabytes(bytes as u64), megabytes(MAX_BYTES as u64));
            let reason = wording::too_large(&size, &limit);
            return self.batch.set(Batch::Refused(reason));
        }
        self.batch.set(Batch::Running { done: 0, total: 0 });
        spawn_local(async move {
            for (name, blob) in files {
                match browser::read_blob(&blob).await {
                    Ok(buffer) => self.send(&Request::BatchFile { name }, Some(&buffer)),
                    Err(error) => {
                        let reason = wording::unreadable(&name, &error);
                        return self.batch.set(Batch::Refused(reason));
                    }
                }
            }
            self.send(&Request::Batch { posts }, None);
        });
    }

    pub(super) fn take_batch(
        self,
        n_mentions: usize,
        figures: Figures,
        results: Option<ArrayBuffer>,
    ) {
        self.inner.update_value(|inner| inner.results = results);
        self.batch.set(Batch::Done {
            n_mentions,
            figures,
        });
    }

    /// Has the browser save the results.
    pub(crate) fn save_batch(self) {
        self.inner.with_value(|inner| {
            if let Some(results) = &inner.results {
                browser::save("rankings.jsonl", results);
            }
        });
    }
}
