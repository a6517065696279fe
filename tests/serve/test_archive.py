import io
import zipfile

from dbflax.serve import archive


def test_the_zip_file_is_the_folder_without_our_books(tmp_path):
  content = {'README.md': b'read me', 'unet/a.bin': bytes(range(256)) * 9000}
  for name, data in content.items():
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
  for name in ('manifest.json', 'started.json', '.x.1.partial'):
    (tmp_path / name).write_text('{}')
  parts = list(archive.chunks(tmp_path, 'rex'))
  # It is made while it is sent.
  assert max(map(len, parts)) < len(content['unet/a.bin'])
  with zipfile.ZipFile(io.BytesIO(b''.join(parts))) as file:
    assert file.testzip() is None
    found = {name: file.read(name) for name in file.namelist()}
  assert found == {f'rex/{name}': data for name, data in content.items()}
