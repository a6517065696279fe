// Enlarges images. Left and right go through all of them; up and down, or the
// buttons, through those of one .cell, such as the stages of a picture.
const box = document.querySelector('dialog');
const large = box.querySelector('img');
const choices = box.querySelector('nav');
const groups = [];
const known = new Map();
for (const button of document.querySelectorAll('.zoom')) {
  const cell = button.closest('.cell') || button;
  if (!known.has(cell)) {
    known.set(cell, groups.length);
    groups.push([]);
  }
  groups[known.get(cell)].push(button);
}
let group = 0;
let member = 0;

const around = (index, count) => (index + count) % count;

function show(nextGroup, nextMember) {
  group = around(nextGroup, groups.length);
  const buttons = groups[group];
  member = Math.min(nextMember, buttons.length - 1);
  const button = buttons[member];
  const image = button.querySelector('img');
  large.src = image.src;
  large.alt = image.alt;
  large.className = button.classList.contains('small') ? 'small' : '';
  box.querySelector('div').textContent =
    `${image.alt} · ${image.getAttribute('width')} px`;
  choices.replaceChildren(...(buttons.length < 2 ? [] : buttons.map(choice)));
}

function choice(button, index) {
  const made = document.createElement('button');
  made.textContent = button.dataset.label;
  made.setAttribute('aria-pressed', String(index === member));
  made.addEventListener('click', (event) => {
    event.stopPropagation();
    show(group, index);
  });
  return made;
}

groups.forEach((buttons, index) => buttons.forEach((button, number) => {
  button.addEventListener('click', () => {
    show(index, number);
    box.showModal();
  });
}));
box.addEventListener('click', () => box.close());
box.addEventListener('keydown', (event) => {
  const moves = {
    ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1],
  };
  const move = moves[event.key];
  if (!move) return;
  event.preventDefault();
  const count = groups[group].length;
  show(group + move[0], move[1] ? around(member + move[1], count) : member);
});
