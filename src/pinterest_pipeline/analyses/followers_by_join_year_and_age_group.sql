-- number: 8
-- question: What is the median follower count of each age group, by the year its users joined?
-- chart: heatmap
-- Over posts, and over people with the largest count of each; a person is one (user_name, age, date_joined).
WITH posts AS (
  SELECT
    YEAR(users.`date_joined`) AS `join_year`,
    CASE
      WHEN users.`age` BETWEEN 18 AND 24 THEN '18-24'
      WHEN users.`age` BETWEEN 25 AND 35 THEN '25-35'
      WHEN users.`age` BETWEEN 36 AND 50 THEN '36-50'
      WHEN users.`age` > 50 THEN '50+'
    END AS `age_group`,
    users.`user_name`,
    users.`age`,
    users.`date_joined`,
    pin.`follower_count`
  FROM `pin` AS pin
  JOIN `user` AS users ON pin.`ind` = users.`ind`
  WHERE pin.`follower_count` IS NOT NULL
),
by_post AS (
  SELECT `join_year`, `age_group`, MEDIAN(`follower_count`) AS `median_follower_count`
  FROM posts
  WHERE `join_year` IS NOT NULL AND `age_group` IS NOT NULL
  GROUP BY `join_year`, `age_group`
),
by_user AS (
  SELECT `join_year`, `age_group`, MEDIAN(`most`) AS `median_follower_count_users`
  FROM (
    SELECT `join_year`, `age_group`, MAX(`follower_count`) AS `most`
    FROM posts
    WHERE `join_year` IS NOT NULL AND `age_group` IS NOT NULL
    GROUP BY `join_year`, `age_group`, `user_name`, `age`, `date_joined`
  ) AS people
  GROUP BY `join_year`, `age_group`
)
SELECT by_post.`join_year`, by_post.`age_group`, `median_follower_count`, `median_follower_count_users`
FROM by_post
JOIN by_user ON by_post.`join_year` = by_user.`join_year` AND by_post.`age_group` = by_user.`age_group`
ORDER BY by_post.`join_year`, by_post.`age_group`
