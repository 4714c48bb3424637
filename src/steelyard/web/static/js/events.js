// New events have the list asked for again, as long as nobody reads further down.
"use strict";
(() => {
  const form = document.querySelector("[data-events]");
  if (!form) return;
  let shown = form.querySelector("[data-newest]").textContent;
  document.addEventListener("steelyard:live", (event) => {
    const newest = event.detail["events.newest"];
    if (newest === undefined || newest === shown || window.scrollY > 200) return;
    shown = newest;
    htmx.trigger(form, "steelyard:newer");
  });
})();
