// What a page can't do in HTML: show that a request failed or is running, and move the keyboard focus.
(() => {
  "use strict";
  const trouble = document.getElementById("trouble");
  const tell = (text) => {
    trouble.textContent = text;
    trouble.hidden = !text;
  };

  document.addEventListener("htmx:sendError", () => tell(trouble.dataset.unreachable));
  document.addEventListener("htmx:timeout", () => tell(trouble.dataset.unreachable));
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 401) window.location.reload();
    else tell(status === 403 ? trouble.dataset.forbidden : trouble.dataset.failed);
  });
  document.addEventListener("htmx:afterOnLoad", () => tell(""));

  // on a phone the sections scroll: show the present one
  document.querySelector(".sections [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // the icon shows whether an alert is open, like the number next to "Alerts"
  const icon = document.getElementById("icon");
  document.addEventListener("htmx:afterSettle", () => {
    icon.href = document.querySelector("#num-alerts .count") ? icon.dataset.alert : icon.dataset.calm;
  });

  // a list that refreshes itself waits while it has the keyboard focus or a ticked box
  document.addEventListener("htmx:beforeRequest", (event) => {
    const list = event.detail.elt;
    const inUse = list.contains(document.activeElement) || list.querySelector("input:checked");
    if ("refresh" in list.dataset && list === event.detail.target && inUse) event.preventDefault();
  });

  // An editor that opens in place gets the focus, at its first fault if there is one; when it closes, the focus returns to
  // the element that opened it. If the focused element disappears, such as a link to the next page, the new list gets it.
  let replaced = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    replaced = event.detail.target.contains(document.activeElement) ? event.detail.target.id : null;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const first = event.target.querySelector("[aria-invalid]") ?? event.target.querySelector("[data-focus]");
    const list = document.activeElement === document.body && replaced && document.getElementById(replaced);
    if (first) first.focus();
    else if (list) {
      list.tabIndex = -1;
      list.focus({ preventScroll: true });
    }
  });

  // "/" moves to the search field, Escape closes an editor
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.querySelector("input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
    if (event.key === "Escape") {
      const cancel = event.target.closest("[data-editor]")?.querySelector("[data-cancel]");
      if (cancel) cancel.click();
    }
  });

  // a chart shows the value under the pointer; the arrow keys move along it
  const showValue = (chart, index) => {
    const values = (chart.values ??= JSON.parse(chart.dataset.values));
    if (!values.length) return;
    const at = Math.max(0, Math.min(values.length - 1, index));
    const [x, text] = values[at];
    for (const end of ["x1", "x2"]) chart.querySelector(".cursor").setAttribute(end, x);
    chart.setAttribute("aria-valuenow", at);
    chart.setAttribute("aria-valuetext", text);
    chart.querySelector(".chart-value").textContent = text;
  };
  document.addEventListener("pointermove", (event) => {
    const chart = event.target.closest(".chart[data-values]");
    if (!chart) return;
    const values = (chart.values ??= JSON.parse(chart.dataset.values));
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * Number(chart.dataset.width);
    let nearest = 0;
    values.forEach(([place], index) => {
      if (Math.abs(place - x) < Math.abs(values[nearest][0] - x)) nearest = index;
    });
    showValue(chart, nearest);
  });
  document.addEventListener("keydown", (event) => {
    const chart = event.target.closest(".chart[data-values]");
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -24, PageUp: 24, Home: -1e6, End: 1e6 };
    if (!chart || !(event.key in steps)) return;
    event.preventDefault();
    showValue(chart, Number(chart.getAttribute("aria-valuenow")) + steps[event.key]);
  });

  // a box that ticks all boxes of its form
  document.addEventListener("change", (event) => {
    if (!("tickAll" in event.target.dataset)) return;
    for (const box of event.target.form.elements)
      if (box.type === "checkbox" && box !== event.target) box.checked = event.target.checked;
  });

  // a form whose action can't be undone asks for confirmation
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  });
})();
