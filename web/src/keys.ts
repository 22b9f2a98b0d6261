// The keys of the page. Each is a single character, so a person may switch them off (WCAG 2.2, 2.1.4).

export interface KeyListener {
  mute(): void;
  hand(): void;
  /** The key that one talks with went down or up. */
  hold(held: boolean): void;
  help(): void;
}

export class Keys {
  enabled = true;
  readonly #listener: KeyListener;
  #held = false;

  constructor(listener: KeyListener) {
    this.#listener = listener;
    document.addEventListener("keydown", (event) => this.#down(event));
    document.addEventListener("keyup", (event) => {
      if (event.key === " ") this.#release();
    });
    // Where the key goes up is not told to a page that lost the focus.
    window.addEventListener("blur", () => this.#release());
  }

  #down(event: KeyboardEvent): void {
    const isOurs =
      this.enabled && !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector("dialog[open]");
    if (!isOurs || takesLetters(event.target)) return;
    switch (event.key) {
      case "m":
      case "M":
        if (!event.repeat) this.#listener.mute();
        return;
      case "h":
      case "H":
        if (!event.repeat) this.#listener.hand();
        return;
      case "?":
        this.#listener.help();
        return;
      case " ":
        // On a button or a list the space bar is its own.
        if (takesSpace(event.target)) return;
        event.preventDefault();
        if (this.#held) return;
        this.#held = true;
        this.#listener.hold(true);
    }
  }

  #release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#listener.hold(false);
  }
}

function takesLetters(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.matches("input:not([type=checkbox], [type=radio], [type=range]), select, textarea")
  );
}

function takesSpace(target: EventTarget | null): boolean {
  return (
    target instanceof Element && target.matches("button, a, summary, input:not([type=radio], [type=range]), select")
  );
}
