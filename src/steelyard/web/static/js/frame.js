// The frame: menu, drawer, search field, keys, notices, and the token that every write of htmx carries.
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = one("meta[name=csrf]").content;
  });
  document.addEventListener("htmx:sendError", () => {
    const place = one("#notices");
    if (one("[data-unreachable]", place)) return;
    const said = document.createElement("div");
    said.className = "notice down";
    said.setAttribute("role", "alert");
    said.dataset.unreachable = "";
    said.textContent = "Steelyard does not answer. What you did was not carried out; try again in a moment.";
    place.append(said);
  });

  // --- menu
  const menu = one("#menu");
  const drawer = one("[data-drawer]");
  const shade = one("[data-drawer-shade]");
  const setDrawer = (open) => {
    menu.classList.toggle("open", open);
    shade.hidden = !open;
    drawer.setAttribute("aria-expanded", String(open));
    if (open) (one("[aria-current=page]", menu) || one("a", menu)).focus();
  };
  drawer.addEventListener("click", () => setDrawer(!menu.classList.contains("open")));
  shade.addEventListener("click", () => setDrawer(false));
  // which groups are open is this browser's own matter
  const remembered = JSON.parse(localStorage.getItem("steelyard-menu") || "{}");
  for (const group of menu.querySelectorAll("details[data-group]")) {
    if (group.dataset.group in remembered && !one("[aria-current=page]", group)) group.open = remembered[group.dataset.group];
    one("summary", group).addEventListener("click", () => {
      // at the click it is not yet what it becomes
      remembered[group.dataset.group] = !group.open;
      localStorage.setItem("steelyard-menu", JSON.stringify(remembered));
    });
  }

  // --- search
  const field = one("[data-search]");
  const found = one("#found");
  const showFound = (open) => {
    if (!field) return;
    found.hidden = !open;
    field.setAttribute("aria-expanded", String(open));
    if (!open) field.removeAttribute("aria-activedescendant");
  };
  const choose = (step) => {
    const all = [...found.querySelectorAll("a")];
    if (!all.length) return;
    const at = all.findIndex((each) => each.getAttribute("aria-selected") === "true");
    const next = all[(at + step + all.length + (at < 0 && step < 0 ? 1 : 0)) % all.length];
    all.forEach((each) => each.setAttribute("aria-selected", String(each === next)));
    field.setAttribute("aria-activedescendant", next.id);
    next.scrollIntoView({ block: "nearest" });
  };
  if (field) {
    found.addEventListener("htmx:afterSwap", () => showFound(field.value.trim() !== ""));
    field.addEventListener("focus", () => showFound(found.childElementCount > 0 && field.value.trim() !== ""));
    field.addEventListener("input", () => field.value.trim() === "" && showFound(false));
    // htmx compares with what stood here when it came: what was typed before that would never be looked for
    window.addEventListener("load", () => {
      if (document.activeElement === field && field.value.trim() !== "") window.htmx.trigger(field, "search");
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        choose(event.key === "ArrowDown" ? 1 : -1);
      } else if (event.key === "Enter") {
        const chosen = one("a[aria-selected=true]", found);
        if (chosen && !found.hidden) {
          event.preventDefault();
          chosen.click();
        }
      } else if (event.key === "Escape") {
        field.value = "";
        showFound(false);
        field.blur();
      }
    });
  }

  document.addEventListener("click", (event) => {
    const dismiss = event.target.closest("[data-dismiss]");
    if (dismiss) dismiss.closest(".notice").remove();
    if (event.target.closest("[data-back]")) history.back();
    if (field && !event.target.closest(".search")) showFound(false);
    for (const popup of document.querySelectorAll("details[data-popup][open]")) {
      if (!popup.contains(event.target)) popup.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && field) {
      event.preventDefault();
      field.focus();
      field.select();
    }
    if (event.key === "Escape") {
      for (const popup of document.querySelectorAll("details[data-popup][open]")) {
        popup.open = false;
        one("summary", popup).focus();
      }
      if (menu.classList.contains("open")) {
        setDrawer(false);
        drawer.focus();
      }
    }
  });
})();
