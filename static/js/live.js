// A page that moves: <main data-live="/ws/…">. The server sends {fragments: {id: html}, charts:
// {id: data}}; fragments replace the element with that id, charts are redrawn in place.
(() => {
  const root = document.querySelector("[data-live]");
  if (!root) return;
  const light = document.querySelector("[data-live-state]");
  let wait = 500;

  const show = (state, text) => {
    if (!light) return;
    light.classList.toggle("lost", state !== "live");
    light.textContent = text;
  };

  const replace = (id, html) => {
    const element = document.getElementById(id);
    if (!element || element.dataset.last === html) return;
    if (element.contains(document.activeElement) && document.activeElement !== element) return;
    element.innerHTML = html;
    element.dataset.last = html;
    window.refreshTimes?.(element);
  };

  const connect = () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${root.dataset.live}`);
    socket.addEventListener("open", () => { wait = 500; show("live", "Live"); });
    socket.addEventListener("message", (event) => {
      const { fragments = {}, charts = {} } = JSON.parse(event.data);
      Object.entries(fragments).forEach(([id, html]) => replace(id, html));
      document.dispatchEvent(new CustomEvent("page:changed"));
      Object.entries(charts).forEach(([id, data]) => window.drawChart?.(id, data));
    });
    socket.addEventListener("close", (event) => {
      if (event.code === 4403 || event.code === 4404) { show("lost", "Not live"); return; }
      show("lost", "Reconnecting");
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, 10000);
    });
  };
  connect();
})();
