// Sixty-four arms are enough.
fn now() -> impl coop::Arm<Output = ()> {
    coop::op::after(std::time::Duration::ZERO)
}

fn main() {
    let _ = coop::select! {
        _=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),
        _=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),
        _=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),
        _=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),_=now()=>(),
        _=now()=>(),
    };
}
