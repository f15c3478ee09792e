//! The hasher as an analyzer, for triggers and workflows that ask for digests alone.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::BinaryHasher;
use crate::analysis::{AnalysisError, AnalysisInput, AnalysisOutput, AnalysisStage, Analyzer};
use crate::event::AnalysisType;

/// Hashes the file of the subject, for [`AnalysisType::BinaryHash`]. Its name, for triggers, is `binary-hasher`.
///
/// Unlike the stage [`Enrichment`](AnalysisStage::Enrichment) it fails if there is nothing to hash or hashing fails.
#[derive(Clone, Debug)]
pub struct BinaryHashAnalyzer {
    hasher: Arc<BinaryHasher>,
}

impl BinaryHashAnalyzer {
    /// An analyzer on a hasher that others may share.
    #[must_use]
    pub const fn new(hasher: Arc<BinaryHasher>) -> Self {
        Self { hasher }
    }
}

#[async_trait]
impl Analyzer for BinaryHashAnalyzer {
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "the trait lets analyzers have names made at run time"
    )]
    fn name(&self) -> &str {
        "binary-hasher"
    }

    fn stages(&self) -> Vec<AnalysisStage> {
        vec![AnalysisStage::Analysis(AnalysisType::BinaryHash)]
    }

    async fn analyze(
        &self,
        input: AnalysisInput,
        cancel: CancellationToken,
    ) -> Result<AnalysisOutput, AnalysisError> {
        let path = input
            .known()
            .path_from_here(input.mount_namespace)?
            .ok_or(AnalysisError::NothingToAnalyse { what: "file" })?;
        Ok(AnalysisOutput::Hashes(self.hasher.hash(path, &cancel).await?))
    }
}
