"use strict";
const main = document.querySelector("main"), live = document.getElementById("live");
async function refresh() {
  try {
    const answer = await fetch("/state", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const open = new Set([...document.querySelectorAll("details[open]")].map(d => d.id));
    main.innerHTML = await answer.text();
    document.querySelectorAll("details").forEach(d => { d.open = open.has(d.id); });
    live.textContent = "live";
  } catch (error) {
    live.textContent = "no answer";
  }
  setTimeout(refresh, 2000);
}
setTimeout(refresh, 2000);
