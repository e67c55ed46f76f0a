// A link to something inside of a tab that is not shown opens that tab.
function openTabOfTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const content = target && target.closest(".sd-tab-content");
  if (content) {
    content.previousElementSibling.click();
    target.scrollIntoView();
  }
}
addEventListener("load", openTabOfTarget);
addEventListener("hashchange", openTabOfTarget);
