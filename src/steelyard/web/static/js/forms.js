// What forms gain from scripts: lists whose order counts are put in order, and nobody leaves with unsaved changes
// unasked. Everything else is plain forms, and htmx where it is there.
"use strict";
(() => {
  const form = () => document.getElementById("editor");
  const touched = () => form() && form().querySelector(".field.changed") !== null;
  let leaving = false;

  const showMovers = () => document.querySelectorAll(".mover[hidden]").forEach((one) => { one.hidden = false; });

  document.addEventListener("click", (event) => {
    const mover = event.target.closest("[data-move]");
    if (!mover) return;
    const row = mover.closest(".pick");
    const above = row.previousElementSibling;
    if (!above || !above.matches(".pick")) return;
    row.parentElement.insertBefore(row, above);
    mover.focus();
    row.querySelector("input").dispatchEvent(new Event("change", { bubbles: true }));
  });

  // The form is drawn again as it was sent. What was changed after that must not be undone: such an answer is left out,
  // and the change asks for one of its own. What a button was pressed for is always shown.
  let edits = 0, sent = 0;
  ["input", "change"].forEach((kind) => document.addEventListener(kind, (event) => {
    if (form() && form().contains(event.target)) edits += 1;
  }, true));
  document.addEventListener("htmx:beforeSwap", (event) => {
    const why = event.detail.requestConfig && event.detail.requestConfig.triggeringEvent;
    if (event.detail.target === form() && why && why.type === "change" && edits !== sent) event.detail.shouldSwap = false;
  });

  // what is unfolded stays so when the form is drawn again
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target !== form()) return;
    sent = edits;
    event.detail.parameters["_open"] = [...document.querySelectorAll("#editor details.section[open]")]
      .map((one) => one.id.replace("section-", "")).join(" ");
  });

  document.addEventListener("submit", (event) => { if (event.target === form()) leaving = true; });
  document.addEventListener("click", (event) => { if (event.target.closest(".bar a")) leaving = true; });
  document.addEventListener("htmx:afterSwap", () => { leaving = false; showMovers(); });
  window.addEventListener("beforeunload", (event) => { if (!leaving && touched()) event.preventDefault(); });
  // what cannot be asked for any more is marked, and unmarked by the next answer
  const stale = (event) => {
    const part = event.detail.target;
    if (part && part.id === "servers") part.classList.add("not-live");
  };
  document.addEventListener("htmx:sendError", stale);
  document.addEventListener("htmx:responseError", stale);

  // a section that is gone to unfolds
  const unfold = () => {
    const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const section = wanted && wanted.closest("details");
    if (section && !section.open) { section.open = true; wanted.scrollIntoView(); }
  };
  window.addEventListener("hashchange", unfold);
  document.addEventListener("click", (event) => { if (event.target.closest('a[href^="#"]')) setTimeout(unfold); });
  unfold();
  showMovers();
})();
