// What the page remembers between visits. Storage can be switched off in a browser; then nothing is remembered.

export function recall(key) {
  try {
    return localStorage.getItem(`foldback.${key}`) ?? "";
  } catch {
    return "";
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(`foldback.${key}`, value);
  } catch {
    // A page that cannot remember still works.
  }
}
