//! What a client wants: the two messages it may send, told apart.
//!
//! Nothing on the wire says which message a frame holds. Field 2 of a `DetectionTask` is a number, field 2 of a
//! `CapabilityRequest` a packed list, and no decoder takes one for the other. A request that names no domain has no field 2
//! and is the task that its bytes also are.

use collector_proto::{CapabilityRequest, DetectionTask as WireTask};
use prost::Message;

use super::proto::ProtoTaskType;
use super::task::DetectionTask;

/// What DaemonEye's agent writes into the first task it sends.
const GREETING: &str = "capability_negotiation";

/// What a client wants.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// A task that only asks whether somebody is there, as DaemonEye's agent sends it first.
    Greeting {
        /// Its id.
        task_id: String,
    },
    /// What the collector can do.
    Capabilities(CapabilityRequest),
    /// Something to do.
    Task(Box<DetectionTask>),
    /// Something to do that we do not know.
    UnknownTask {
        /// Its id.
        task_id: String,
        /// The number of its type.
        task_type: i32,
    },
}

/// A frame holds no request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a frame holds no request: {0}")]
pub struct RequestError(#[from] prost::DecodeError);

impl Request {
    /// Reads the payload of a frame.
    ///
    /// # Errors
    /// When it is neither message.
    pub fn decode(payload: &[u8]) -> Result<Self, RequestError> {
        let task = match WireTask::decode(payload) {
            Ok(task) => task,
            Err(_) if has_list_in_field_2(payload) => {
                return Ok(Self::Capabilities(CapabilityRequest::decode(payload)?));
            }
            Err(error) => return Err(error.into()),
        };
        if task.metadata.as_deref() == Some(GREETING) {
            return Ok(Self::Greeting { task_id: task.task_id });
        }
        Ok(match ProtoTaskType::try_from(task.task_type) {
            Ok(task_type) => Self::Task(Box::new(DetectionTask::from_wire(task, task_type))),
            Err(_) => Self::UnknownTask { task_id: task.task_id, task_type: task.task_type },
        })
    }
}

fn has_list_in_field_2(payload: &[u8]) -> bool {
    /// Any message, of which only field 2 is looked at.
    #[derive(prost::Message)]
    struct Field2 {
        #[prost(bytes = "vec", optional, tag = "2")]
        list: Option<Vec<u8>>,
    }
    Field2::decode(payload).is_ok_and(|field| field.list.is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ipc::proto::{MonitoringDomain, ProcessFilter};

    fn decoded(message: &impl Message) -> Request {
        Request::decode(&message.encode_to_vec()).unwrap()
    }

    #[test]
    fn a_task_keeps_everything() {
        let mut task = DetectionTask::new("t", ProtoTaskType::VerifyExecutable);
        task.process_filter = Some(ProcessFilter { pids: vec![1], ..ProcessFilter::default() });
        task.metadata = Some("anything".to_owned());
        assert_eq!(decoded(&task.clone().into_wire()), Request::Task(Box::new(task)));
    }

    #[test]
    fn metadata_makes_a_greeting_whatever_the_type() {
        for task_type in [0, 99] {
            let metadata = Some("capability_negotiation".to_owned());
            let task = WireTask { task_id: "t".to_owned(), task_type, metadata, ..WireTask::default() };
            assert_eq!(decoded(&task), Request::Greeting { task_id: "t".to_owned() });
        }
    }

    #[test]
    fn a_list_of_domains_makes_a_capability_request() {
        let requested_domains = vec![MonitoringDomain::Process.into(), 77];
        let request = CapabilityRequest {
            client_id: "c".to_owned(),
            requested_domains,
            client_version: Some("1".to_owned()),
        };
        assert_eq!(decoded(&request), Request::Capabilities(request));
    }

    #[test]
    fn a_capability_request_without_domains_is_the_task_that_its_bytes_are() {
        let request = CapabilityRequest { client_id: "c".to_owned(), ..CapabilityRequest::default() };
        let task = DetectionTask::new("c", ProtoTaskType::EnumerateProcesses);
        assert_eq!(decoded(&request), Request::Task(Box::new(task)));
    }

    #[test]
    fn numbers_that_nobody_gave_out_are_told() {
        for task_type in [7, 99, -1, i32::MAX] {
            let task = WireTask { task_id: "t".to_owned(), task_type, ..WireTask::default() };
            assert_eq!(decoded(&task), Request::UnknownTask { task_id: "t".to_owned(), task_type });
        }
    }

    #[test]
    fn a_task_with_a_broken_filter_is_no_capability_request() {
        // Field 3 is text in a capability request and a message in a task.
        assert!(Request::decode(b"\x0a\x01t\x1a\x011").is_err());
        assert!(Request::decode(b"\x0a\x01t\x10\x01\x1a\x011").is_err());
        assert!(Request::decode(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::decode(&bytes);
        }
    }
}
