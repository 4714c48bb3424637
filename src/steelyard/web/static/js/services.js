// The list of virtual services: sub-services unfold; what others add or remove comes in without a reload.
"use strict";
(() => {
  const card = document.getElementById("services");
  card.addEventListener("click", (event) => {
    const twist = event.target.closest(".twist");
    if (!twist) return;
    const open = twist.getAttribute("aria-expanded") !== "true";
    twist.setAttribute("aria-expanded", String(open));
    for (const id of twist.getAttribute("aria-controls").trim().split(" ")) document.getElementById(id).hidden = !open;
  });
  document.addEventListener("steelyard:live", (event) => {
    const list = event.detail["services.list"];
    if (list === undefined || list === card.dataset.list) return;
    card.dataset.list = list;
    const shown = card.querySelectorAll("#rows > tr:not(.sub-row, .more)").length;
    const address = new URL(location.href);
    address.searchParams.set("rows", shown);
    htmx.ajax("GET", address.pathname + address.search, { target: "#services", swap: "morph:innerHTML" });
  });
})();
