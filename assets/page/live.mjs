// The websocket to the server: batches of messages in, numbered requests out, reconnecting by itself.

const LONG = 400; // milliseconds after which a request shows that it goes on
const WAITS = [200, 500, 1000, 2000, 4000]; // milliseconds before each try

export class Live {
  /** `onMessages(list)` for every batch, `onLink(true | false)` when the connection comes or goes. */
  constructor(address, onMessages, onLink) {
    this.address = address;
    this.onMessages = onMessages;
    this.onLink = onLink;
    this.waiting = new Map();
    this.busy = document.getElementById("busy");
    this.next = 1;
    this.tries = 0;
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    const socket = new WebSocket(this.address);
    this.socket = socket;
    socket.onopen = () => {
      this.tries = 0;
      this.onLink(true, "");
    };
    socket.onmessage = (event) => this.take(JSON.parse(event.data));
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      for (const { reject } of this.waiting.values()) reject(new Error("The connection to dsviz was lost."));
      this.waiting.clear();
      this.busy.hidden = true;
      this.onLink(false, event.reason);
      this.timer = setTimeout(() => this.open(), WAITS[Math.min(this.tries++, WAITS.length - 1)]);
    };
  }

  take(messages) {
    const rest = [];
    for (const message of messages) {
      if (message.t === "reply") rest.push(message);
    }
    try {
      this.onMessages(messages);
    } finally { // a panel that fails must not leave others without their answers
      for (const reply of rest) this.answer(reply);
    }
  }

  answer(reply) {
    const asked = this.waiting.get(reply.id);
    if (!asked) return;
    this.waiting.delete(reply.id);
    if (!this.waiting.size && !this.busy.hidden) this.busy.hidden = true;
    if (reply.ok) asked.resolve(reply.data);
    else asked.reject(new Error(reply.error));
  }

  /** Ask the server; resolves with the reply's data, rejects with its sentence. */
  ask(verb, more = {}) {
    if (this.socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Error("The page is not connected to dsviz."));
    }
    const id = this.next++;
    // What takes long is seen to be going on.
    const slow = setTimeout(() => {
      if (!this.waiting.has(id)) return;
      this.busy.hidden = false;
      this.busy.title = `dsviz is at work: ${verb.replaceAll("_", " ")}`;
    }, LONG);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: (data) => { clearTimeout(slow); resolve(data); }, reject: (error) => { clearTimeout(slow); reject(error); } });
      this.socket.send(JSON.stringify({ id, do: verb, ...more }));
    });
  }
}
