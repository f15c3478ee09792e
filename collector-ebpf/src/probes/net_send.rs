//! UDP to a destination the process has not sent to before, from the packet itself: nothing the program can
//! change afterwards, and every way of sending is seen.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, NetworkWire};

use crate::kernel::{follow, load, offset, read};
use crate::maps::{DESTINATIONS, Destination};
use crate::net::{AF_INET, AF_INET6, IPPROTO_UDP};
use crate::{canary, emit, filter, task};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const UDP_HEADER: u16 = 8;

/// Source and destination of a datagram.
struct Ends {
    family: u16,
    source: [u64; 2],
    target: [u64; 2],
}

// proto: 5.10-7.3: void net_dev_queue(struct sk_buff *skb)
#[btf_tracepoint(function = "net_dev_queue")]
pub fn net_send(ctx: BtfTracePointContext) -> i32 {
    let is_canary = canary::sings(canary::number!(net_send));
    let packet: *const u8 = ctx.arg(0);
    // SAFETY: the argument is a typed packet; the current task is typed.
    unsafe {
        let sock = follow(packet, offset!(skb_sk));
        // Newer verifiers know that a packet need not have a socket, and insist on the check.
        if sock.is_null() || load::<u16>(sock, offset!(sk_protocol)) != IPPROTO_UDP {
            return 0;
        }
        let task = task::current();
        if task::is_kernel_thread(task) || !filter::switched_on(Kind::NetworkSend.bit()) {
            return 0;
        }
        let head: u64 = load(packet, offset!(skb_head));
        let network = head + u64::from(load::<u16>(packet, offset!(skb_network_header)));
        let transport = head + u64::from(load::<u16>(packet, offset!(skb_transport_header)));
        let Some(ends) = ends(u16::from_be(load(packet, offset!(skb_protocol))), network) else { return 0 };
        // Source port, destination port, length, checksum.
        let udp: [u16; 4] = read(transport);
        let port = u16::from_be(udp[1]);
        if is_canary && canary::sent_to(port) {
            return 0;
        }
        let key = Destination { pid: task::tgid(task), port, family: ends.family, address: ends.target };
        let start: u64 = load(follow(task, offset!(task_group_leader)), offset!(task_start));
        if DESTINATIONS.get(key).is_some_and(|known| *known == start) {
            return 0;
        }
        if !filter::wanted(task, Kind::NetworkSend) {
            return 0;
        }
        let _ = DESTINATIONS.insert(key, start, 0);
        emit::fixed(Kind::NetworkSend, Capture::Kernel, |record: *mut NetworkWire, header| {
            (*record).header = header;
            task::fill(task, &raw mut (*record).task);
            (*record).family = ends.family;
            (*record).protocol = IPPROTO_UDP;
            (*record).old_state = 0;
            (*record).new_state = 0;
            (*record).local_port = u16::from_be(udp[0]);
            (*record).remote_port = port;
            (*record).flags = 0;
            (&raw mut (*record).local).cast::<[u64; 2]>().write(ends.source);
            (&raw mut (*record).remote).cast::<[u64; 2]>().write(ends.target);
            (*record).opened_ns = header.ktime_ns;
            (*record).bytes_sent = u64::from(u16::from_be(udp[2]).saturating_sub(UDP_HEADER));
            (*record).bytes_received = 0;
            (*record).result = 0;
            (*record).backlog = 0;
        });
    }
    0
}

/// Addresses of a packet; `None` for other protocols, for later fragments, which carry no ports, and for IPv6 packets with
/// extension headers (fragments among them).
#[inline(always)]
fn ends(protocol: u16, network: u64) -> Option<Ends> {
    match protocol {
        ETH_P_IP => {
            let words: [u32; 5] = read(network);
            let fragment = u16::from_be((words[1] >> 16) as u16) & 0x1fff;
            (fragment == 0).then(|| Ends {
                family: AF_INET,
                source: [u64::from(words[3]), 0],
                target: [u64::from(words[4]), 0],
            })
        }
        ETH_P_IPV6 => {
            let words: [u64; 5] = read(network);
            // Behind any other header the ports are not where they seem: later fragments carry payload there, which
            // the program chooses.
            let next_header = words[0].to_ne_bytes()[6];
            (u16::from(next_header) == IPPROTO_UDP).then(|| Ends {
                family: AF_INET6,
                source: [words[1], words[2]],
                target: [words[3], words[4]],
            })
        }
        _ => None,
    }
}
