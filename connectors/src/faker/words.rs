//! Words by language. Latin spellings are for e-mail addresses.

use super::config::Locale;

/// The words of one language.
#[derive(Debug)]
pub(super) struct Words {
    /// Family names with their Latin spelling.
    pub(super) families: &'static [(&'static str, &'static str)],
    /// Given names.
    pub(super) given: &'static [Given],
    /// Words for female and male.
    pub(super) genders: (&'static str, &'static str),
    /// Towns.
    pub(super) cities: &'static [City],
    /// Streets.
    pub(super) streets: &'static [&'static str],
    /// Things that a shop sells.
    pub(super) products: &'static [&'static str],
}

/// A given name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    /// The name.
    pub(super) name: &'static str,
    /// Its Latin spelling in lower case.
    pub(super) latin: &'static str,
    /// A woman's name.
    pub(super) female: bool,
}

/// A town.
#[derive(Debug, Clone, Copy)]
pub(super) struct City {
    /// The town.
    pub(super) name: &'static str,
    /// The province or state it is in.
    pub(super) province: &'static str,
    /// Its six-digit code in GB/T 2260; 0 outside China.
    pub(super) area: u64,
}

impl Words {
    /// The words of a language.
    pub(super) const fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::En => &EN,
            Locale::ZhCn => &ZH_CN,
        }
    }
}

const fn her(name: &'static str, latin: &'static str) -> Given {
    Given { name, latin, female: true }
}

const fn him(name: &'static str, latin: &'static str) -> Given {
    Given { name, latin, female: false }
}

const fn city(name: &'static str, province: &'static str, area: u64) -> City {
    City { name, province, area }
}

const EN: Words = Words {
    families: &[
        ("Smith", "smith"),
        ("Johnson", "johnson"),
        ("Williams", "williams"),
        ("Brown", "brown"),
        ("Jones", "jones"),
        ("Garcia", "garcia"),
        ("Miller", "miller"),
        ("Davis", "davis"),
        ("Wilson", "wilson"),
        ("Anderson", "anderson"),
        ("Taylor", "taylor"),
        ("Moore", "moore"),
        ("Martin", "martin"),
        ("O'Neill", "oneill"),
        ("Thompson", "thompson"),
        ("White", "white"),
        ("Harris", "harris"),
        ("Clark", "clark"),
        ("Lewis", "lewis"),
        ("Walker", "walker"),
    ],
    given: &[
        her("Mary", "mary"),
        her("Patricia", "patricia"),
        her("Jennifer", "jennifer"),
        her("Linda", "linda"),
        her("Elizabeth", "elizabeth"),
        her("Susan", "susan"),
        her("Chloe", "chloe"),
        her("Zoe", "zoe"),
        him("James", "james"),
        him("Robert", "robert"),
        him("John", "john"),
        him("Michael", "michael"),
        him("David", "david"),
        him("William", "william"),
        him("Thomas", "thomas"),
        him("Daniel", "daniel"),
    ],
    genders: ("female", "male"),
    cities: &[
        city("New York", "NY", 0),
        city("Los Angeles", "CA", 0),
        city("Chicago", "IL", 0),
        city("Houston", "TX", 0),
        city("Phoenix", "AZ", 0),
        city("Philadelphia", "PA", 0),
        city("San Diego", "CA", 0),
        city("Seattle", "WA", 0),
        city("Denver", "CO", 0),
        city("Boston", "MA", 0),
        city("Portland", "OR", 0),
        city("Boise", "ID", 0),
        city("Kent", "WA", 0),
        city("Redmond", "WA", 0),
        city("Bend", "OR", 0),
        city("Cheyenne", "WY", 0),
    ],
    streets: &[
        "Main Street",
        "Oak Avenue",
        "Maple Drive",
        "Cedar Lane",
        "Park Road",
        "Washington Street",
        "Lake View",
        "Hill Street",
        "Elm Street",
        "Sunset Boulevard",
        "River Road",
        "2nd Street",
    ],
    products: &[
        "Coffee Beans",
        "Green Tea",
        "Desk Lamp",
        "Notebook",
        "Fountain Pen",
        "Headphones",
        "Keyboard",
        "Backpack",
        "Water Bottle",
        "Running Shoes",
        "Umbrella",
        "Phone Case",
        "Desk Chair",
        "Tea Pot",
        "Bicycle Bell",
        "Travel Mug",
    ],
};

const ZH_CN: Words = Words {
    families: &[
        ("王", "wang"),
        ("李", "li"),
        ("张", "zhang"),
        ("刘", "liu"),
        ("陈", "chen"),
        ("杨", "yang"),
        ("黄", "huang"),
        ("赵", "zhao"),
        ("吴", "wu"),
        ("周", "zhou"),
        ("徐", "xu"),
        ("孙", "sun"),
        ("马", "ma"),
        ("朱", "zhu"),
        ("胡", "hu"),
        ("林", "lin"),
        ("郭", "guo"),
        ("何", "he"),
        ("欧阳", "ouyang"),
        ("司马", "sima"),
    ],
    given: &[
        her("秀英", "xiuying"),
        her("敏", "min"),
        her("静", "jing"),
        her("丽", "li"),
        her("艳", "yan"),
        her("婷婷", "tingting"),
        her("雪梅", "xuemei"),
        her("思雨", "siyu"),
        him("伟", "wei"),
        him("强", "qiang"),
        him("磊", "lei"),
        him("军", "jun"),
        him("建国", "jianguo"),
        him("志强", "zhiqiang"),
        him("浩然", "haoran"),
        him("子轩", "zixuan"),
    ],
    genders: ("女", "男"),
    cities: &[
        city("北京市", "北京市", 110_101),
        city("天津市", "天津市", 120_101),
        city("石家庄市", "河北省", 130_102),
        city("沈阳市", "辽宁省", 210_102),
        city("上海市", "上海市", 310_101),
        city("南京市", "江苏省", 320_102),
        city("杭州市", "浙江省", 330_102),
        city("合肥市", "安徽省", 340_102),
        city("福州市", "福建省", 350_102),
        city("济南市", "山东省", 370_102),
        city("武汉市", "湖北省", 420_102),
        city("长沙市", "湖南省", 430_102),
        city("广州市", "广东省", 440_103),
        city("深圳市", "广东省", 440_303),
        city("成都市", "四川省", 510_104),
        city("西安市", "陕西省", 610_102),
    ],
    streets: &[
        "中山路",
        "人民路",
        "解放路",
        "建设路",
        "和平路",
        "新华路",
        "文化路",
        "长江路",
        "南京路",
        "复兴街",
        "胜利街",
        "学院路",
    ],
    products: &[
        "咖啡豆",
        "龙井茶",
        "台灯",
        "笔记本",
        "钢笔",
        "耳机",
        "键盘",
        "双肩包",
        "保温杯",
        "跑鞋",
        "雨伞",
        "手机壳",
        "办公椅",
        "茶壶",
        "自行车铃",
        "旅行杯",
    ],
};
