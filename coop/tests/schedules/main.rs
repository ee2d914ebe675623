//! probe
#[test]
fn probe() {
    let mut spare = coop::__private::SpareStacks::default();
        for tasks in [0, 1, 20, 0, 1, 20] {
            let t = std::time::Instant::now();
            let n = 2000;
            for seed in 0..n {
                let b = coop::Builder::new().virtual_time().seed(seed).simulated_ring();
                let (_, c) = b.run_counted(&mut spare, || for _ in 0..tasks { drop(coop::spawn(|| coop::yield_now().is_ok())) }).unwrap();
                assert_eq!(c.stacks, 0);
            }
            println!("tasks {tasks}: {:?} a run", t.elapsed() / n as u32);
        }
}
