//! Clients that break the rules, or break: they are disconnected and counted, and nobody else notices.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector_proto::{DetectionResult, ProcessRecord};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::support::*;
use crate::ipc::codec::{MAX_PAYLOAD, encode_frame};
use crate::ipc::statistics::ClosedConnections;

/// Sends `bytes` after a sound request; that is answered, `bytes` are not.
async fn check(bytes: &[u8], counted: fn(&mut ClosedConnections)) {
    let served = serve(one_process).await;
    let mut bystander = served.client().await;
    is_served(&mut bystander).await;
    let mut stream = served.raw().await;
    send(&mut stream, &enumerate("sound").into_wire()).await;
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let ids: Vec<_> = answers(&mut stream).await.into_iter().map(|result| result.task_id).collect();
    assert_eq!(ids, ["sound"]);
    let mut expected = ClosedConnections::default();
    counted(&mut expected);
    until("the fault is counted", || served.statistics().closed == expected).await;
    is_served(&mut bystander).await;
}

#[tokio::test]
async fn a_wrong_checksum_closes() {
    let mut frame = encode_frame(b"\x0a\x01t", MAX_PAYLOAD).unwrap();
    frame[4] ^= 1;
    check(&frame, |closed| closed.checksum = 1).await;
}

#[tokio::test]
async fn an_empty_frame_closes() {
    check(&[0; 8], |closed| closed.zero_length = 1).await;
}

#[tokio::test]
async fn too_long_a_frame_closes() {
    check(b"\x01\x00\x10\x00....", |closed| closed.too_long = 1).await;
    check(b"\xff\xff\xff\xff....", |closed| closed.too_long = 1).await;
}

#[tokio::test]
async fn an_end_inside_a_frame_closes() {
    let frame = encode_frame(b"\x0a\x01t", MAX_PAYLOAD).unwrap();
    for length in [1, 7, 8, frame.len() - 1] {
        check(&frame[..length], |closed| closed.truncated = 1).await;
    }
}

#[tokio::test]
async fn a_frame_without_a_request_closes() {
    check(&encode_frame(b"\xff\xff\xff", MAX_PAYLOAD).unwrap(), |closed| closed.undecodable = 1).await;
    check(&encode_frame(b"\x0a\x05t", MAX_PAYLOAD).unwrap(), |closed| closed.undecodable = 1).await;
}

#[tokio::test]
async fn a_frame_has_to_arrive_in_time() {
    let served = serve_with(|config| config.with_read_timeout(SHORT), one_process).await;
    let mut bystander = served.client().await;
    let mut stream = served.raw().await;
    stream.write_all(b"\x03\x00\x00\x00").await.unwrap();
    assert!(answers(&mut stream).await.is_empty());
    until("the slow client is counted", || served.statistics().closed.slow_read == 1).await;
    is_served(&mut bystander).await;
}

#[tokio::test]
async fn a_client_that_never_reads_holds_up_nobody() {
    let served = serve_with(
        |config| config.with_write_timeout(Duration::from_millis(300)),
        |task| async move {
            let count = if task.task_id == "large" { 1000 } else { 1 };
            let record = ProcessRecord { name: "x".repeat(500), ..ProcessRecord::default() };
            DetectionResult::success(&task.task_id, vec![record; count])
        },
    )
    .await;
    let mut bystander = served.client().await;
    let mut deaf = served.raw().await;
    for _ in 0..20 {
        send(&mut deaf, &enumerate("large").into_wire()).await;
    }
    until("the first answer is made", || served.statistics().frames_received > 0).await;
    is_served(&mut bystander).await;
    until("it is disconnected", || served.statistics().closed.slow_write == 1).await;
    is_served(&mut bystander).await;
    assert_eq!(served.statistics().connections_active, 1);
}

#[tokio::test]
async fn clients_that_vanish_in_the_middle_of_a_task_leave_nothing_behind() {
    let leave = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&leave);
    let served = serve(move |task| {
        let gate = Arc::clone(&gate);
        async move {
            if task.task_id == "waits" {
                gate.acquire().await.map_err(|error| error.to_string())?.forget();
            }
            Ok::<_, String>(one_process(task).await)
        }
    })
    .await;
    let mut bystander = served.client().await;
    for _ in 0..10 {
        send(&mut served.raw().await, &enumerate("waits").into_wire()).await;
    }
    is_served(&mut bystander).await;
    until("all have asked", || served.statistics().frames_received == 11).await;
    leave.add_permits(10);
    until("all are gone", || served.statistics().connections_active == 1).await;
    assert_eq!(served.statistics().closed.broken, 10);
    is_served(&mut bystander).await;
}

#[tokio::test]
async fn a_thousand_connections_leave_no_descriptor() {
    let open = || std::fs::read_dir("/dev/fd").unwrap().count();
    let mut served = serve(one_process).await;
    is_served(&mut served.client().await).await;
    let before = open();
    for cycle in 0..1000 {
        let mut stream = served.raw().await;
        match cycle % 4 {
            0 => is_served(&mut served.client().await).await,
            1 => send(&mut stream, &enumerate("unheard").into_wire()).await,
            2 => stream.write_all(&[0; 8]).await.unwrap(),
            _ => {}
        }
    }
    until("all are gone", || served.statistics().connections_active == 0).await;
    // Other tests run beside this one, and have descriptors of their own; a leak would be a thousand.
    let after = open();
    assert!(after < before + 500, "{before} descriptors became {after}");
    let statistics = served.statistics();
    assert_eq!(statistics.refused.too_many + statistics.connections, 1251);
    served.server.shutdown().await;
}

#[tokio::test]
async fn handlers_that_block_hold_up_nobody_and_do_not_pile_up() {
    let (release, blocked) = mpsc::channel::<()>();
    let (begun, blocked) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(blocked)));
    let begins = Arc::clone(&begun);
    let served = serve_with(
        |config| config.with_max_connections(2).with_handler_timeout(Duration::from_secs(1)),
        move |task| {
            let (begins, blocked) = (Arc::clone(&begins), Arc::clone(&blocked));
            async move {
                if task.task_id == "blocks" {
                    begins.add_permits(1);
                    // The thread waits, and no timeout can end that.
                    let _ = blocked.lock().unwrap().recv();
                }
                one_process(task).await
            }
        },
    )
    .await;
    let (mut bystander, mut client) = (served.client().await, served.client().await);
    for _ in 0..3 {
        let result = in_time(client.send(enumerate("blocks"))).await.unwrap();
        assert!(result.error_message.unwrap().starts_with("Task processing timed out"));
        is_served(&mut bystander).await;
    }
    assert_eq!((begun.available_permits(), served.enumerations().timed_out), (1, 3));
    drop(release);
    // Its turn comes again.
    while !in_time(client.send(enumerate("blocks"))).await.unwrap().success {}
}
