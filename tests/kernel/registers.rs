//! Registers of system calls, compared with what this kernel says about itself.

use collector_common::registers::{AARCH64, Registers, X86_64};
use collector_sources::btf::Btf;
use collector_sources::features::VMLINUX_BTF;

#[test]
fn registers_lie_where_the_programs_read_them() {
    let registers = if cfg!(target_arch = "aarch64") { AARCH64 } else { X86_64 };
    let Registers { arguments, number, names } = registers;
    let blob = std::fs::read(VMLINUX_BTF).unwrap();
    let btf = Btf::parse(&blob, ["pt_regs"]).unwrap();
    for (offset, (name, index)) in arguments.into_iter().chain([number]).zip(names) {
        let member = btf.member("pt_regs", &[name]).unwrap();
        assert_eq!(member.bit_offset as usize / 8 + 8 * index, offset, "{name}[{index}]");
    }
}
