// Work that may come a frame after what the person waits for, and later still for someone who steps quickly.

const QUICK = 120; // milliseconds from stop to stop: so soon the next one is likely to follow
const REST = 60; // milliseconds after the latest of such stops
const MOST = 400; // milliseconds that the first of them waits

export class AfterPaint {
  constructor(work) {
    this.work = work;
    this.waits = false;
    this.stopped = this.since = -Infinity;
    this.timer = 0;
    this.go = () => {
      this.waits = false;
      this.timer = 0;
      this.work();
    };
  }

  /** Have the work done once the next frame is painted; asked for again before that, it is done once. `stop`: it tells of a stop. */
  soon(stop = false) {
    const now = performance.now();
    const quick = stop && now - this.stopped < QUICK;
    if (stop) this.stopped = now;
    if (quick && (this.timer || !this.waits) && (!this.waits || now - this.since < MOST)) {
      clearTimeout(this.timer);
      if (!this.waits) this.since = now;
      this.timer = setTimeout(this.go, REST);
    } else if (!this.waits) {
      // Past the paint of the frame, and past what a person did meanwhile. A page that is not looked at has no frames.
      if (document.hidden) setTimeout(this.go);
      else requestAnimationFrame(() => setTimeout(() => setTimeout(this.go)));
    }
    this.waits = true;
  }
}
