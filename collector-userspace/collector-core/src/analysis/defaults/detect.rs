//! Detection: a verdict on the executable, with reasons.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::collect::CollectedSubject;
use super::rule::{RuleError, RuleMatch, VerdictRule, plain};
use crate::analysis::hash::FileDigests;
use crate::analysis::{AnalysisError, AnalysisInput, AnalysisOutput, AnalysisStage, Analyzer};
use crate::event::{AlertReason, AlertSeverity};

/// What the rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The severity of the worst reason; `None` if no rule holds.
    pub severity: Option<AlertSeverity>,
    /// The rules that hold, in the order of the configuration.
    pub reasons: Vec<AlertReason>,
    /// Ids of rules that could not be asked, because the path or the digests are not known. A verdict without reasons
    /// says less the more of these there are.
    pub unasked: Vec<String>,
}

impl Verdict {
    /// Whether any rule holds.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.severity.is_some()
    }
}

/// Runs [`AnalysisStage::Detection`]: asks each rule and gives a [`Verdict`].
#[derive(Clone, Debug)]
pub struct DetectionAnalyzer {
    rules: Vec<VerdictRule>,
}

impl DetectionAnalyzer {
    /// An analyzer with these rules.
    ///
    /// # Errors
    /// The first rule that cannot work, and why.
    pub fn new(rules: &[VerdictRule]) -> Result<Self, RuleError> {
        VerdictRule::validate_all(rules)?;
        let rules = rules.iter().cloned().map(|mut rule| {
            if let RuleMatch::PathPrefixes(prefixes) = &mut rule.matches {
                prefixes.iter_mut().for_each(|prefix| *prefix = plain(prefix));
            }
            rule
        });
        Ok(Self { rules: rules.collect() })
    }

    /// The verdict on a subject of which these are known.
    #[must_use]
    pub fn judge(&self, subject: &CollectedSubject, digests: Option<&FileDigests>) -> Verdict {
        let path = subject.path.as_deref().map(plain);
        let mut verdict = Verdict::default();
        for VerdictRule { id, description, severity, matches } in &self.rules {
            let evidence = match matches {
                RuleMatch::Digests(bad) => digests.map(|digests| {
                    let FileDigests { sha256, blake3, .. } = digests;
                    let sha256 = bad.contains(sha256).then(|| format!("sha256 {sha256}"));
                    sha256.or_else(|| bad.contains(blake3).then(|| format!("blake3 {blake3}")))
                }),
                RuleMatch::PathPrefixes(prefixes) => path.as_ref().map(|path| {
                    let prefix = prefixes.iter().find(|prefix| path.starts_with(prefix))?;
                    Some(format!("{} lies in {}", path.display(), prefix.display()))
                }),
                RuleMatch::Conditions(conditions) => {
                    let began = subject.condition().filter(|condition| conditions.contains(*condition));
                    Some(began.map(|condition| format!("the condition {condition} was met")))
                }
            };
            match evidence {
                None => verdict.unasked.push(id.clone()),
                Some(None) => {}
                Some(Some(evidence)) => {
                    verdict.severity = verdict.severity.max(Some(*severity));
                    let (rule, description) = (id.clone(), description.clone());
                    verdict.reasons.push(AlertReason { rule, description, severity: *severity, evidence });
                }
            }
        }
        verdict
    }
}

#[async_trait]
impl Analyzer for DetectionAnalyzer {
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "the trait lets analyzers have names made at run time"
    )]
    fn name(&self) -> &str {
        "detection"
    }

    fn stages(&self) -> Vec<AnalysisStage> {
        vec![AnalysisStage::Detection]
    }

    async fn analyze(
        &self,
        input: AnalysisInput,
        _: CancellationToken,
    ) -> Result<AnalysisOutput, AnalysisError> {
        let verdict = self.judge(&input.known(), input.digests());
        Ok(AnalysisOutput::Verdict(verdict))
    }
}
