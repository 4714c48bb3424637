// Values that change by themselves. The stream sends [[value, key, key, ...], ...] of what is new; places are
// data-live="key". A value is text, or {text, html, look, title, href, hidden, line, area, status, reason}.
// Nothing under the pointer's menu or the focus is replaced as a whole: html is morphed. What was not heard of
// for a while is marked stale.
// In a long table the rows in view come first, the others when the browser has time, or as soon as they are scrolled to:
// a thousand rows at once would hold up the page for a second.
"use strict";
(() => {
  const address = document.body.dataset.liveStream;
  if (!address) return;
  const LOOKS = ["up", "unchecked", "standby", "down", "drain", "instead", "off"];
  const STALE_MS = 7000;
  const known = new Map();
  const MANY = 600;
  const AT_ONCE = 400;
  let places = new Map();
  let rows = new Map();
  const waiting = new Set();
  const inView = new Set();
  let source = null;
  let heard = Date.now();
  let trouble = "";

  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) {
          inView.delete(target);
          continue;
        }
        inView.add(target);
        if (waiting.size) for (const place of target.querySelectorAll("[data-live]")) if (waiting.has(place)) settle(place);
      }
    },
    { rootMargin: "400px" },
  );
  const collect = () => {
    places = new Map();
    rows = new Map();
    waiting.clear();
    inView.clear();
    watch.disconnect();
    for (const place of document.querySelectorAll("[data-live]")) {
      const key = place.dataset.live;
      if (places.has(key)) places.get(key).push(place);
      else places.set(key, [place]);
    }
    if (places.size < MANY) return;
    const watched = new Set();
    for (const place of [...places.values()].flat()) {
      const row = place.closest("tr");
      if (!row) continue;
      rows.set(place, row);
      if (watched.has(row)) continue;
      watched.add(row);
      watch.observe(row);
    }
  };
  const setText = (place, text) => {
    // the text of an element that also holds others stands in its first node
    const node = place.firstChild && place.firstChild.nodeType === 3 ? place.firstChild : null;
    if (node && place.childElementCount) {
      if (node.data !== text) node.data = text;
    } else if (place.textContent !== text) place.textContent = text;
  };
  const show = (place, value) => {
    if (place.dataset.list !== undefined) return undefined;
    if (typeof value === "string") return setText(place, value);
    if ("text" in value) setText(place, value.text);
    if ("html" in value) Idiomorph.morph(place, value.html, { morphStyle: "innerHTML", ignoreActiveValue: true });
    if ("look" in value && !place.classList.contains(value.look)) {
      place.classList.remove(...LOOKS);
      place.classList.add(value.look);
    }
    if ("status" in value) {
      place.title = `${place.dataset.full}: ${value.status}${value.reason ? `: ${value.reason}` : ""}`;
      place.setAttribute("aria-label", `${place.textContent}, ${value.status}`);
    }
    if ("title" in value) place.title = value.title;
    if ("href" in value) place.setAttribute("href", value.href);
    if ("hidden" in value) place.hidden = value.hidden;
    if ("line" in value) {
      place.querySelector(".area").setAttribute("d", value.area);
      place.querySelector(".line").setAttribute("d", value.line);
    }
    return undefined;
  };
  const settle = (place) => {
    waiting.delete(place);
    show(place, known.get(place.dataset.live));
  };
  let asked = false;
  const catchUp = (idle) => {
    asked = false;
    let done = 0;
    for (const place of waiting) {
      if (done >= AT_ONCE || (done > 50 && idle.timeRemaining() < 2)) break;
      settle(place);
      done += 1;
    }
    later();
  };
  const later = () => {
    document.body.dataset.liveWaiting = String(waiting.size);
    if (asked || !waiting.size) return;
    asked = true;
    requestIdleCallback(catchUp, { timeout: 500 });
  };
  const put = (key, value) => {
    for (const place of places.get(key) || []) {
      const row = rows.get(place);
      if (row && !inView.has(row)) waiting.add(place);
      else show(place, value);
    }
  };
  const take = (groups) => {
    const began = performance.now();
    const changed = {};
    for (const group of groups) {
      const value = group[0];
      for (let at = 1; at < group.length; at += 1) {
        known.set(group[at], value);
        changed[group[at]] = value;
        put(group[at], value);
      }
    }
    later();
    document.dispatchEvent(new CustomEvent("steelyard:live", { detail: changed }));
    document.body.dataset.liveTook = (performance.now() - began).toFixed(1);
    document.body.dataset.liveCount = String(Number(document.body.dataset.liveCount || 0) + 1);
  };
  const mark = () => {
    const past = Date.now() - heard;
    const stale = trouble !== "" || past > STALE_MS;
    const long = places.size >= MANY;
    document.body.classList.toggle("is-stale", stale && !long);
    document.body.classList.toggle("is-stale-list", stale && long);
    const said = document.querySelector("[data-stale]");
    said.hidden = !stale;
    if (stale) {
      said.title = trouble || "No answer from Steelyard";
      said.querySelector("[data-stale-text]").textContent = `Not live for ${Math.round(past / 1000)} s`;
    }
  };
  const signIn = () => {
    disconnect();
    location.assign(`${document.body.dataset.signIn}?next=${encodeURIComponent(location.pathname + location.search)}`);
  };
  const connect = () => {
    if (source) return;
    source = new EventSource(address);
    source.addEventListener("message", (event) => {
      heard = Date.now();
      trouble = "";
      take(JSON.parse(event.data));
      mark();
    });
    source.addEventListener("trouble", (event) => {
      trouble = JSON.parse(event.data).message;
      mark();
    });
    source.addEventListener("ended", signIn);
    source.addEventListener("error", () => {
      // a browser gives up for good on an answer that is no stream, such as the sign-in page
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        fetch(address, { method: "HEAD", redirect: "manual" })
          .then((answer) => (answer.type === "opaqueredirect" ? signIn() : undefined))
          .catch(() => undefined);
        setTimeout(() => document.hidden || connect(), 3000);
      }
    });
  };
  const disconnect = () => {
    if (source) source.close();
    source = null;
  };
  collect();
  connect();
  setInterval(mark, 1000);
  // browsers allow few connections to a host: a page nobody looks at gives its own back
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return disconnect();
    heard = Date.now();
    return connect();
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => event.persisted && connect());
  document.addEventListener("htmx:afterSettle", () => {
    collect();
    for (const [key, value] of known) put(key, value);
    later();
  });
})();
