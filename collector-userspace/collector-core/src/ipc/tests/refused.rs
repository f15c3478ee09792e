//! Clients that are not let in.

use std::io::{Read, Write};

use collector_proto::DetectionResult;
use prost::Message;

use super::support::*;
use crate::ipc::codec::{FrameDecoder, MAX_PAYLOAD, encode_frame};
use crate::ipc::{IpcClientError, Role};

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let served = serve_with(|config| config.with_max_connections(2), one_process).await;
    let (mut one, mut two) = (served.client().await, served.client().await);
    is_served(&mut one).await;
    is_served(&mut two).await;
    let result = in_time(served.client().await.send(enumerate("three"))).await.unwrap();
    let message = "there are 2 clients already, as many as may be (max_connections)";
    assert_eq!(result, DetectionResult::failure("three", message));
    let error = in_time(served.client().await.capabilities()).await.unwrap_err();
    assert!(matches!(&error, IpcClientError::Refused(reason) if reason == message), "{error}");
    assert_eq!(served.statistics().refused.too_many, 2);
    drop(one);
    until("there is a place", || served.statistics().connections_active == 1).await;
    until_served(&served).await;
    is_served(&mut two).await;
}

/// The place is free a moment after the connection is counted as gone.
async fn until_served(served: &Served) {
    while !in_time(served.client().await.send(enumerate("again"))).await.unwrap().success {}
}

#[tokio::test]
async fn a_flood_of_clients_that_are_not_let_in_disturbs_nobody() {
    let served = serve_with(|config| config.with_max_connections(1), one_process).await;
    let mut one = served.client().await;
    is_served(&mut one).await;
    // They say nothing, so each that is to be told why is waited for; beyond a few, none is.
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(served.raw().await);
    }
    until("all are counted", || served.statistics().refused.too_many == 200).await;
    for mut stream in flood {
        assert!(answers(&mut stream).await.is_empty());
    }
    is_served(&mut one).await;
    assert_eq!(served.statistics().connections, 1);
}

/// What user 65534 in group 65534 is answered. Threads of one process may have different users, for the kernel.
#[cfg(target_os = "linux")]
fn ask_as_nobody(path: &std::path::Path) -> DetectionResult {
    use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
    let path = path.to_owned();
    let asking = std::thread::spawn(move || {
        let (uid, gid) = (rustix::process::Uid::from_raw(65534), rustix::process::Gid::from_raw(65534));
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        let task = enumerate("mine").into_wire().encode_to_vec();
        stream.write_all(&encode_frame(&task, MAX_PAYLOAD).unwrap()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let payload = FrameDecoder::new(MAX_PAYLOAD).decode(&mut &bytes[..]).unwrap().unwrap();
        DetectionResult::decode(&*payload).unwrap()
    });
    asking.join().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_without_a_role_are_refused_by_name_and_others_are_not() {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        // Only root can be somebody else.
        return;
    }
    for (roles, served_with) in [(vec![], false), (vec![Role::Reader], true)] {
        let served = serve_with(
            |config| {
                roles.into_iter().fold(config.with_mode(0o666), |config, role| config.with_gid(65534, role))
            },
            one_process,
        )
        .await;
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(served.directory.path(), open).unwrap();
        let result = ask_as_nobody(&served.path);
        assert_eq!((&*result.task_id, result.success), ("mine", served_with));
        if !served_with {
            let message = result.error_message.unwrap();
            assert!(message.starts_with("user 65534 in group 65534 (process "), "{message}");
            assert!(message.contains("has no role"), "{message}");
        }
        assert_eq!(served.statistics().refused.unauthorized, u64::from(!served_with));
        is_served(&mut served.client().await).await;
    }
}
