//! Enrichment: digests of the executable.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::analysis::hash::{BinaryHasher, FileDigests, HashError};
use crate::analysis::{AnalysisError, AnalysisInput, AnalysisOutput, AnalysisStage, Analyzer};

/// What was found out about the executable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enrichment {
    /// Its digests.
    Hashed(FileDigests),
    /// It has none, which is something to know: an executable that deletes itself, for example.
    NotHashed(HashError),
    /// The subject names no file.
    NoFile,
}

/// Runs [`AnalysisStage::Enrichment`]: hashes the file of the subject and gives an [`Enrichment`].
///
/// A file that cannot be hashed does not fail the stage, because the stages that come after have other things to go by.
#[derive(Clone, Debug)]
pub struct EnrichmentAnalyzer {
    hasher: Arc<BinaryHasher>,
}

impl EnrichmentAnalyzer {
    /// An analyzer on a hasher that others may share.
    #[must_use]
    pub const fn new(hasher: Arc<BinaryHasher>) -> Self {
        Self { hasher }
    }
}

#[async_trait]
impl Analyzer for EnrichmentAnalyzer {
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "the trait lets analyzers have names made at run time"
    )]
    fn name(&self) -> &str {
        "enrichment"
    }

    fn stages(&self) -> Vec<AnalysisStage> {
        vec![AnalysisStage::Enrichment]
    }

    async fn analyze(
        &self,
        input: AnalysisInput,
        cancel: CancellationToken,
    ) -> Result<AnalysisOutput, AnalysisError> {
        let digests = match input.known().path_from_here(input.mount_namespace) {
            Ok(Some(path)) => self.hasher.hash(path, &cancel).await,
            Ok(None) => return Ok(AnalysisOutput::Enriched(Enrichment::NoFile)),
            Err(error) => Err(error),
        };
        match digests {
            Ok(digests) => Ok(AnalysisOutput::Enriched(Enrichment::Hashed(digests))),
            Err(error) if error.is_transient() && input.attempts_left > 0 => Err(error.into()),
            // A file that is kept changing must not keep the verdict away.
            Err(error) => Ok(AnalysisOutput::Enriched(Enrichment::NotHashed(error))),
        }
    }
}
