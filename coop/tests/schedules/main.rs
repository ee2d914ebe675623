//! Random programs on random schedules.
mod flights;
mod generate;
mod handles;
mod interpret;
mod model;
mod program;
mod races;
mod random;
mod report;
mod scopes;
mod world;

use coop::__private::SpareStacks;
use coop::{Builder, OrphanPanic};
use std::time::Duration;

fn run(program: program::Program, spare: &mut SpareStacks, is_kept: bool) -> u64 {
    report::begin(is_kept);
    let orphans = if program.orphan_kills_parent { OrphanPanic::KillParent } else { OrphanPanic::Log };
    let builder = Builder::new()
        .virtual_time()
        .seed(program.seed)
        .simulated_ring()
        .stack(128 * 1024)
        .root_stack(128 * 1024)
        .grace(Duration::from_secs(1_000_000))
        .on_orphan_panic(orphans);
    let mut kept = None;
    let (result, left) = builder
        .run_counted(spare, || {
            let world = world::World::new(program);
            kept = Some(world.clone());
            world.model.borrow_mut().spawn(0, None, false, true);
            world.model.borrow_mut().set_id(0, coop::current().id());
            interpret::run_task(interpret::Arguments::new(&world, 0), None).ok()
        })
        .expect("a simulated ring needs nothing");
    if let Err(coop::JoinError::Panicked(payload)) = &result {
        let panic = interpret::check_payload(&**payload);
        assert!(panic > 0);
    }
    drop(result);
    if (left.tasks, left.stacks, left.operations, left.has_timers) != (0, 0, 0, false) {
        report::failed(format!("left over: {left:?}"));
    }
    let world = kept.expect("the root has run");
    world.check_over();
    report::hash()
}

#[test]
fn probe() {
    let mut spare = SpareStacks::default();
    if let Ok(seed) = std::env::var("COOP_SEED") {
        let seed = seed.parse().unwrap();
        let program = generate::generate(seed);
        println!("{program}");
        run(program, &mut spare, true);
        for line in report::take() { println!("{line}"); }
        return;
    }
    let t = std::time::Instant::now();
    let n: u64 = std::env::var("COOP_SEEDS").map_or(1000, |n| n.parse().unwrap());
    for seed in 0..n {
        if seed % 50 == 0 {} std::fs::write("/tmp/probe-seeds/current", seed.to_string()).unwrap();
        run(generate::generate(seed), &mut spare, false);
    }
    println!("{:?} {:#?}", t.elapsed() / n as u32, report::seen());
}
