  const element = (id) => document.getElementById(id);
  const say = (text) => { element("say").textContent = text; };
  const token = location.hash.slice(1);
  const query = location.search;
  // The token must not stay in the history of the browser.
  history.replaceState(null, "", location.pathname);
  // Asks, and says what came of it. Gives what was answered, or null.
  const ask = async (path, body, done) => {
    say("…");
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      const said = await answer.json().catch(() => ({}));
      say(answer.ok ? done : said.detail);
      ask.again = answer.status === 429 || answer.status === 503;
      return answer.ok ? said : null;
    } catch {
      say("Veza cannot be reached. Try again.");
      ask.again = true;
      return null;
    }
  };
  // Only on a click: programs that look at links would do it for those who have not.
  const onClick = (path, body, done, then = () => {}) => {
    const go = element("go");
    go.addEventListener("click", async () => {
      go.hidden = true;
      const said = await ask(path, body, done);
      if (said) {
        then(said);
      } else {
        go.hidden = !ask.again;
      }
    });
  };
  const withoutToken = (text) => {
    say(text);
    element("go").hidden = true;
  };
