"use strict";
// Asks for this page anew every few seconds and changes in place what differs, so that a selection,
// the focus and the place on the page stay. Without it the page is complete, and stays as it was.
(() => {
  const EVERY_MS = 3000;
  const PATIENCE_MS = 5000;
  const content = document.querySelector("main");
  const away = document.querySelector("#away");

  const pause = () => new Promise((resolve) => setTimeout(resolve, EVERY_MS));

  const shown = () =>
    new Promise((resolve) => {
      if (!document.hidden) resolve();
      else document.addEventListener("visibilitychange", resolve, { once: true });
    });

  async function ask() {
    const answer = await fetch(location.pathname, {
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // A proxy may answer in the exporter's place, with an error or with its own sign-in page.
    if (!answer.ok || !page.querySelector("#at")) throw new Error(`HTTP ${answer.status}`);
    return page.querySelector("main");
  }

  function change(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
    if (old.nodeType === Node.TEXT_NODE) return void (old.data = fresh.data);
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    before.slice(after.length).forEach((node) => node.remove());
    after.forEach((node, at) => (before[at] ? change(before[at], node) : old.append(node)));
  }

  function say(text) {
    if (away.textContent !== text) away.textContent = text;
  }

  async function refresh() {
    try {
      change(content, await ask());
      say("");
    } catch {
      const since = content.querySelector("#at").textContent;
      say(`The exporter has not answered since ${since}. What is shown is from then.`);
    }
  }

  (async () => {
    for (;;) {
      await pause();
      await shown();
      await refresh();
    }
  })();
})();
